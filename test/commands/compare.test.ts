/** `holdfast compare` as users run it: its forms, its exit statuses and bad input. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Report } from "../../coordinator/judge/report-data.ts";
import { sampleReport, violatedReport } from "../support/sample-report.ts";

const MAIN = join(import.meta.dirname, "../../coordinator/main.ts");
const folder = mkdtempSync(join(tmpdir(), "holdfast-compare-"));
after(() => rmSync(folder, { recursive: true, force: true }));

function save(name: string, report: Report | string): string {
  const path = join(folder, name);
  writeFileSync(path, typeof report === "string" ? report : JSON.stringify(report));
  return path;
}
const halved = () => ({
  ...sampleReport(),
  runs: sampleReport().runs.map((run) => ({ ...run, throughput: run.throughput! / 2 })),
});
const base = save("base.json", sampleReport());
const violated = save("violated.json", violatedReport());
const slow = save("slow.json", halved());
const other = save("other.json", { ...sampleReport(), scenario: "all" });

function compare(...args: string[]) {
  const env = { PATH: process.env.PATH! };
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, "compare", ...args], { env, encoding: "utf8" });
  return { status, out: stdout, err: stderr };
}

test("the exit status is that of the comparison, and the last line says why", () => {
  for (const [args, status, line] of [
    [[base, base], 0, /^COMPARISON: no verdict got worse;/],
    [[base, violated, "--max-drop", "20%"], 1, /^COMPARISON: a verdict got worse: "redis"/],
    [[base, other], 3, /^COMPARISON: cannot be compared: scenario/],
    [[base, slow], 0, /^COMPARISON: no verdict got worse/],
    [[base, slow, "--max-drop", "20%"], 5, /^COMPARISON: slower than allowed \(20 %\): "redis" by 50 %/],
  ] as const) {
    const ended = compare(...args);
    assert.equal(ended.status, status, ended.err);
    assert.match(ended.out.trimEnd().split("\n").at(-1)!, line);
    assert.equal(ended.err, "");
  }
});

test("verdicts come before cost in every form", () => {
  for (const form of [[], ["--markdown"], ["--json"]]) {
    const { out } = compare(base, violated, ...form);
    const [verdicts, costs] = ["exclusion", "throughput"].map((word) => out.search(new RegExp(`${word}|committed/s`)));
    assert.ok(verdicts! >= 0 && costs! > verdicts!, out);
  }
  const json = JSON.parse(compare(base, violated, "--json").out);
  assert.equal(json.schema, "holdfast/comparison/v1");
  assert.equal(json.verdicts[0].is, "worse");
  assert.match(compare(base, violated, "--markdown").out, /^\*\*COMPARISON: a verdict got worse/m);
});

test("--junit writes what got worse or slower as failures, and reports that cannot be compared as an error", () => {
  const file = join(folder, "out.xml");
  const junit = (next: string) => {
    compare(base, next, "--max-drop", "20%", "--junit", file);
    return readFileSync(file, "utf8");
  };
  assert.match(
    junit(violated),
    /name="redis: data"[^>]*>\s*<failure message="data: holds in the base report, violated/,
  );
  assert.match(junit(slow), /name="redis: throughput"[^>]*>\s*<failure/);
  assert.match(junit(other), /name="result"[^>]*>\s*<error/);
  assert.doesNotMatch(junit(base), /<failure|<error/);
});

test("bad input is refused with exit status 2 and one line", () => {
  const text = save("report.txt", "VERDICT: violated");
  const old = save("old.json", JSON.stringify({ ...sampleReport(), schema: "holdfast/report/v1" }));
  for (const [args, ...parts] of [
    [[join(folder, "none.json"), base], /none\.json: there is no such file/],
    [[base, folder], /it is a folder; name the report\.json in it/],
    [[base, text], /report\.txt is not JSON/],
    [[old, base], /old\.json has the schema holdfast\/report\/v1/, /holdfast\/report\/v2/],
    [[base], /missing required argument 'new\.json'/],
    [[base, base, base], /too many arguments/],
    [[base, base, "--max-drop", "20"], /--max-drop/, /write a percentage below 100%, such as 20%/],
    [[base, base, "--max-drop", "100%"], /such as 20%/],
    [[base, base, "--json", "--markdown"], /cannot be used with/],
    [[base, base, "--junit", "/proc/none/x.xml"], /cannot write \/proc\/none\/x\.xml/],
  ] as [string[], ...RegExp[]][]) {
    const ended = compare(...args);
    assert.equal(ended.status, 2, `${args.join(" ")}: ${ended.err}${ended.out}`);
    assert.match(ended.err, /^holdfast: [^\n]+\n$/);
    for (const part of parts) assert.match(ended.err, part);
  }
});

test("--baseline is read before anything runs", () => {
  const run = (...args: string[]) => {
    const env = { PATH: process.env.PATH!, HOLDFAST_OUT: join(folder, "reports") };
    return spawnSync(process.execPath, [MAIN, ...args], { env, encoding: "utf8", timeout: 20_000 });
  };
  const missing = run("--baseline", join(folder, "none.json"));
  assert.equal(missing.status, 2, missing.stderr);
  assert.match(missing.stderr, /^holdfast: cannot read .*none\.json: there is no such file[^\n]*\n$/);
  const alone = run("--max-drop", "20%");
  assert.equal(alone.status, 2, alone.stderr);
  assert.match(alone.stderr, /--max-drop needs the report to compare with: add --baseline/);
});
