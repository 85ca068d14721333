/** `holdfast page`, as users run it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Report } from "../coordinator/judge/report-data.ts";
import { formatJson } from "../coordinator/report/files.ts";
import { renderPage } from "../coordinator/report/page/index.ts";
import { sampleReport } from "./support/sample-report.ts";

const MAIN = join(import.meta.dirname, "../coordinator/main.ts");

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-page-"));
  await writeFile(join(folder, "report.json"), formatJson(sampleReport()));
});
after(() => rm(folder, { recursive: true, force: true }));

const page = (...args: string[]) =>
  spawnSync(process.execPath, [MAIN, "page", ...args], { cwd: folder, encoding: "utf8", timeout: 60_000 });

test("makes the page beside report.json, or where --out says", async () => {
  const expected = renderPage(Report.parse(JSON.parse(formatJson(sampleReport()))), { withData: true });
  for (const [args, file] of [
    [["report.json"], "report.html"],
    [["report.json", "--out", "other.html"], "other.html"],
  ] as const) {
    const { status, stdout, stderr } = page(...args);
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: `${file}\n`, stderr: "" });
    assert.equal(await readFile(join(folder, file), "utf8"), expected);
  }
});

test("makes the page of a report that has no drawings, as earlier versions wrote it", async () => {
  const report = sampleReport();
  for (const run of report.runs) delete run.drawing;
  await writeFile(join(folder, "old.json"), formatJson(report));
  assert.equal(page("old.json", "--out", "old.html").status, 0);
  assert.match(await readFile(join(folder, "old.html"), "utf8"), /<!doctype html>/);
});

test("bad input ends with one line and exit status 2", async () => {
  await writeFile(join(folder, "text"), "no JSON");
  await writeFile(join(folder, "other.json"), '{"schema":"holdfast/report/v1"}');
  for (const [args, reason] of [
    [[], /missing required argument/],
    [["nothing.json"], /cannot read nothing\.json: ENOENT/],
    [["text"], /text is not JSON/],
    [["other.json"], /other\.json is no report that this version of Holdfast can read: schema/],
    [["report.json", "--out", "missing/page.html"], /cannot write missing\/page\.html/],
  ] as const) {
    const { status, stderr } = page(...args);
    assert.match(stderr, /^holdfast: [^\n]+\n$/);
    assert.match(stderr, reason);
    assert.equal(status, 2);
  }
});
