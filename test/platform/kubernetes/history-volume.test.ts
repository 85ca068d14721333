/** The volume of histories: a report in it is judged like one on one machine, and one that cannot be written is refused. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { judgeHistory } from "../../../coordinator/commands/judge.ts";
import { ConfigError } from "../../../coordinator/errors.ts";
import { openHistory } from "../../../coordinator/platform/kubernetes/history-volume.ts";
import { serial } from "../../support/histories.ts";
import { recordedOf, wholeReport } from "../../support/saved-history.ts";

const volume = mkdtempSync(join(tmpdir(), "holdfast-volume-"));
after(() => rmSync(volume, { recursive: true, force: true }));

test("each report has a folder of its own, with which holdfast judge needs nothing else", async () => {
  const evidence = serial(100);
  for (const name of ["0a1b2c3d", "9f8e7d6c"]) {
    const history = await openHistory(volume, name);
    await history!.saveRun(recordedOf(evidence));
    await history!.saveReport(wholeReport([evidence]));
    const { exitCode, text } = await judgeHistory(join(volume, name), "0.1.0", { color: false, width: 120 });
    assert.equal(exitCode, 0, text);
  }
});

test("without a volume there is no history, and one that cannot be written is refused in one line", async () => {
  assert.equal(await openHistory(undefined, "0a1b2c3d"), undefined);
  await assert.rejects(openHistory("/proc/none", "0a1b2c3d"), (error: Error) => {
    assert.ok(error instanceof ConfigError);
    return /^cannot write the history: .*; make the volume of history\.volume writable [^\n]*$/.test(error.message);
  });
});
