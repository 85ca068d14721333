/** `holdfast judge` on histories in files: equal, tampered with, damaged, missing, cut and of another version. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { judgeHistory } from "../../coordinator/commands/judge.ts";
import { readInvocation } from "../../coordinator/config.ts";
import { ConfigError, ServerError } from "../../coordinator/errors.ts";
import { createHistoryFolder } from "../../coordinator/platform/report-folder.ts";
import { serial, simulate } from "../support/histories.ts";
import { changeLines, recordedOf, saveReport } from "../support/saved-history.ts";

const MAIN = join(import.meta.dirname, "../../coordinator/main.ts");
const folder = mkdtempSync(join(tmpdir(), "holdfast-judge-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const racing = simulate(
  Array.from({ length: 120 }, (_, index) => ({
    worker: [0, 1, 1, 0][index % 4]!,
    employee: 1,
    raise: 5,
    end: "committed" as const,
    afterUs: 1_000,
  })),
  { run: "test-1-none", strategy: "none" },
).evidence;
const original = join(folder, "original");
const report = await saveReport(original, [racing, serial(100, 4, { run: "test-2-redis" })]);
assert.deepEqual(
  report.runs.map(({ data }) => data.value),
  ["violated", "holds"],
);

const RUN = "history/run-test-2-redis.jsonl.gz";

/** A copy of the original folder. */
let copies = 0;
function copy(change: (folder: string) => void): string {
  const own = join(folder, `copy-${++copies}`);
  cpSync(original, own, { recursive: true });
  change(own);
  return own;
}

function judged(own: string) {
  const env = { PATH: process.env.PATH! };
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, "judge", own], { env, encoding: "utf8" });
  return { status, out: stdout, err: stderr, last: stdout.trimEnd().split("\n").at(-1)! };
}

test("the history gives the report: exit status 0, with the verdict of each run", () => {
  const { status, out, err, last } = judged(original);
  assert.equal(status, 0, out + err);
  assert.equal(last, "JUDGE: report.json is what the history gives");
  assert.match(out, /none +60 +violated +violated +expected\n/);
  assert.match(out, /redis +100 +holds +holds +expected\n/);
  assert.ok(out.includes(`\n${report.verdict.line}\n`), out);
  assert.doesNotMatch(out, /^Note:/m);
});

test("one changed line of the ledger changes the verdict: exit status 1, with the differences", () => {
  const own = copy((own) =>
    changeLines(join(own, RUN), (lines) => {
      const write = lines.filter(({ type }) => type === "write")[40];
      write.readVersion -= 1;
    }),
  );
  const { status, out, last } = judged(own);
  assert.equal(status, 1, out);
  assert.match(out, /redis +100 +violated +holds +mismatch\n/);
  assert.match(out, /^VERDICT: violated: "redis" should hold and did not/m);
  assert.match(
    out,
    /^ {2}runs\[1\]\.data\.value \(test-2-redis\): "holds" in report\.json, "violated" by the history$/m,
  );
  assert.match(out, /^ {2}and \d+ more$/m);
  assert.match(last, /^JUDGE: report\.json differs from what the history gives in \d+ places$/);
});

/** In this process, without a start of the program each time. */
const inProcess = (own: string, version = "0.1.0") => judgeHistory(own, version, { color: false, width: 120 });

test("a changed report, a run that was taken out and another version of Holdfast are named", async () => {
  const changed = await inProcess(
    copy((own) => {
      const text = readFileSync(join(own, "report.json"), "utf8");
      writeFileSync(join(own, "report.json"), text.replace('"lostUpdates": 30', '"lostUpdates": 29'));
    }),
  );
  assert.equal(changed.exitCode, 1);
  assert.match(changed.text, /^ {2}runs\[0\]\.lostUpdates \(test-1-none\): 29 in report\.json, 30 by the history$/m);
  assert.match(changed.text, /in 1 place$/m);

  const fewer = await inProcess(
    copy((own) =>
      changeLines(join(own, "history/report.jsonl.gz"), ([line]) => {
        line.runs.pop();
      }),
    ),
  );
  assert.equal(fewer.exitCode, 1);
  assert.match(
    fewer.text,
    /^ {2}runs\[1\] \(not in the history\): \{.*\.\.\. in report\.json, absent by the history$/m,
  );
  assert.match(fewer.text, /^Note: .*run-test-2-redis\.jsonl\.gz belongs to no run of the report and was not read\.$/m);

  const later = await inProcess(original, "9.9.9");
  assert.equal(later.exitCode, 0);
  assert.match(later.text, /^Note: the history is of Holdfast 0\.1\.0, and this is 9\.9\.9: /m);
});

const rewrite = (name: string, change: (data: Buffer) => Buffer) => (own: string) =>
  writeFileSync(join(own, name), change(readFileSync(join(own, name))));

for (const [what, change, ...parts] of [
  [
    "no history",
    (own) => rmSync(join(own, "history"), { recursive: true }),
    /cannot read .*report\.jsonl\.gz: there is no such file; name the folder .* --history/,
  ],
  [
    "no file of a run",
    (own) => rmSync(join(own, RUN)),
    /cannot read .*run-test-2-redis\.jsonl\.gz: there is no such file/,
  ],
  ["no report.json", (own) => rmSync(join(own, "report.json")), /cannot read .*report\.json: there is no such file/],
  [
    "a file that is cut",
    (own) => truncateSync(join(own, RUN), 2_000),
    /cannot read .*run-test-2-redis\.jsonl\.gz: its end is missing; copy/,
  ],
  [
    "a flipped bit",
    rewrite(RUN, (data) => Buffer.from(data.map((byte, i) => (i === data.length >> 1 ? byte ^ 16 : byte)))),
    /run-test-2-redis\.jsonl\.gz: (it is damaged|line \d+ )/,
  ],
  [
    "a file that is not compressed",
    rewrite(RUN, (data) => gunzipSync(data)),
    /it is damaged, or not compressed with gzip/,
  ],
  ["an empty file", rewrite(RUN, () => gzipSync("")), /run-test-2-redis\.jsonl\.gz is empty; copy/],
  [
    "a line that was taken out",
    (own) => changeLines(join(own, RUN), (lines) => lines.splice(60, 1)),
    /run-test-2-redis\.jsonl\.gz has 99 lines of type "write", and its first line says 100: it was cut or changed; copy/,
  ],
  [
    "a line that is not JSON",
    rewrite(RUN, (data) => gzipSync(gunzipSync(data).toString().replace('{"type":"worker"', "{type"))),
    /line \d+ is not JSON/,
  ],
  [
    "a later schema",
    (own) =>
      changeLines(join(own, RUN), ([first]) => {
        first.schema = "holdfast/history/v9";
      }),
    /line 1 has the schema holdfast\/history\/v9, and .* reads holdfast\/history\/v1/,
  ],
  [
    "the file of another run",
    (own) => cpSync(join(own, "history/run-test-1-none.jsonl.gz"), join(own, RUN)),
    /run-test-2-redis\.jsonl\.gz is of run test-1-none: rename it/,
  ],
  [
    "two lines of the report",
    (own) => changeLines(join(own, "history/report.jsonl.gz"), (lines) => lines.push(lines[0])),
    /line 2 is one too many/,
  ],
] as [string, (own: string) => void, RegExp][])
  test(`${what} is refused in one line`, async () => {
    await assert.rejects(inProcess(copy(change)), (error: Error) => {
      assert.ok(error instanceof ConfigError, error.stack);
      assert.doesNotMatch(error.message, /\n/);
      for (const part of parts) assert.match(error.message, part);
      return true;
    });
  });

test("bad input of the command ends with exit status 2", () => {
  const { status, err } = judged(join(folder, "none"));
  assert.equal(status, 2);
  assert.match(err, /^holdfast: cannot read [^\n]+report\.jsonl\.gz: there is no such file[^\n]+\n$/);
});

test("on Kubernetes, --history is refused before anything runs", () => {
  assert.throws(
    () => readInvocation(["--history"], { HOLDFAST_LAUNCHER: "kubernetes" }, "0"),
    /--history works on one machine only, .*: on Kubernetes, set the chart's value history\.volume/,
  );
});

test("a file that cannot be written is an error that names it, and no half is left", async () => {
  const own = join(folder, "unwritable");
  const history = await createHistoryFolder(own);
  await assert.rejects(history.saveRun({ ...recordedOf(racing), endedAt: new Date(Number.NaN) }), RangeError);
  assert.deepEqual(readdirSync(join(own, "history")), []);
  rmSync(own, { recursive: true });
  await assert.rejects(history.saveRun(recordedOf(racing)), (error: Error) => {
    assert.ok(error instanceof ServerError);
    return /^cannot write the history to .*run-test-1-none\.jsonl\.gz: ENOENT.*; free space there/.test(error.message);
  });
});
