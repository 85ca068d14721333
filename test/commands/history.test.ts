/** `holdfast history`, as users run it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { formatJson } from "../../coordinator/report/files.ts";
import { sampleReport, violatedReport } from "../support/sample-report.ts";

const MAIN = join(import.meta.dirname, "../../coordinator/main.ts");

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-history-"));
  const save = (name: string, text: string, file = "report.json") => {
    mkdirSync(join(folder, "reports", name), { recursive: true });
    writeFileSync(join(folder, "reports", name, file), text);
  };
  // The names sort otherwise than the dates.
  save("later", formatJson({ ...violatedReport(), report: "later", startedAt: "2026-03-02T08:00:00.000Z" }));
  save("earlier: 1", formatJson({ ...sampleReport(), report: "earlier" }));
  save("earlier: 1", "<!doctype html>", "report.html");
  save("cut", formatJson(sampleReport()).slice(0, 2_000));
  save("no-report", "notes", "notes.txt");
});
after(() => rmSync(folder, { recursive: true, force: true }));

const history = (...args: string[]) =>
  spawnSync(process.execPath, [MAIN, "history", ...args], { cwd: folder, encoding: "utf8", timeout: 60_000 });

test("lists the reports by date, names those that cannot be read, and writes the page", () => {
  const { status, stdout, stderr } = history();
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
  assert.match(
    stdout,
    /2026-03-01 10:15 +earlier +compare +as expected +row-lock +373 +14\.1\n.*later +compare +VIOLATED/,
  );
  assert.match(stdout, /1 file that could not be read\n {2}· reports\/cut\/report\.json: is not JSON/);
  assert.match(stdout, /\ntrend: reports\/history\.html\n$/);
  const page = readFileSync(join(folder, "reports/history.html"), "utf8");
  assert.match(page, /<a href="earlier%3A%201\/report\.html">earlier<\/a>/);
  assert.match(page, /<td>later<\/td>/);
});

test("the page finds the reports from where --out puts it", () => {
  assert.equal(history("reports", "--out", "trend.html").status, 0);
  assert.match(readFileSync(join(folder, "trend.html"), "utf8"), /href="reports\/earlier%3A%201\/report\.html"/);
});

test("bad input ends with one line and exit status 2", () => {
  mkdirSync(join(folder, "empty"));
  for (const [args, reason] of [
    [["nothing"], /cannot read nothing: there is no such folder/],
    [["empty"], /no report in empty/],
    [["reports", "--out", "missing/page.html"], /cannot write missing\/page\.html/],
  ] as const) {
    const { status, stderr } = history(...args);
    assert.match(stderr, /^holdfast: [^\n]+\n$/);
    assert.match(stderr, reason);
    assert.equal(status, 2);
  }
});
