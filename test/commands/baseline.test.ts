/** A run with --baseline: its comparison, its files and its exit status, with a baseline in which a difference is planted. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { judgeHistory } from "../../coordinator/commands/judge.ts";
import { historyFile } from "../../coordinator/judge/history.ts";
import { Report } from "../../coordinator/judge/report-data.ts";
import { bareEnvironment } from "../support/environment.ts";
import { buildPorcupine } from "../support/porcupine.ts";
import { changeLines } from "../support/saved-history.ts";

const MAIN = join(import.meta.dirname, "../../coordinator/main.ts");
const folder = mkdtempSync(join(tmpdir(), "holdfast-baseline-"));
after(() => rmSync(folder, { recursive: true, force: true }));

function holdfast(...args: string[]) {
  const env = bareEnvironment(folder);
  const run = "--strategies none,row-lock --duration 1500ms --repeat 2 --json --history".split(" ");
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...run, "--out", folder, ...args], {
    env,
    encoding: "utf8",
  });
  return { status, out: stdout, err: stderr };
}

test("repeats are made, and a run that is ten times as slow as its baseline ends with exit status 5", async (t) => {
  const first = holdfast();
  assert.equal(first.status, 0, first.err);
  const made = Report.parse(JSON.parse(first.out));
  assert.deepEqual(
    made.runs.map(({ strategy, repeat }) => `${strategy} ${repeat}`),
    ["none 1", "row-lock 1", "none 2", "row-lock 2"],
  );
  assert.deepEqual(
    made.repeats?.map(({ name, runs, data }) => [name, runs.length, data.value]),
    [
      ["none", 2, "violated"],
      ["row-lock", 2, "holds"],
    ],
  );

  await t.test("an independent checker finds lost updates in the same runs", (t) => compareWithPorcupine(t, made));
  await t.test("the history gives the report, and one that was tampered with does not", () =>
    judgeAndTamper(join(folder, made.report), made),
  );

  const baseline = join(folder, "base.json");
  const faster = made.runs.map((run) => ({ ...run, throughput: run.throughput! * 10 }));
  writeFileSync(baseline, JSON.stringify({ ...made, runs: faster }));
  const second = holdfast("--baseline", baseline, "--max-drop", "20%");
  assert.equal(second.status, 5, second.err);
  const { report } = Report.parse(JSON.parse(second.out));
  assert.match(
    second.err.trimEnd().split("\n").at(-1)!,
    /^COMPARISON: slower than allowed \(20 %\): "row-lock" by \d+ %/,
  );
  const files = readdirSync(join(folder, report)).filter((name) => name.startsWith("comparison"));
  assert.deepEqual(files.sort(), ["comparison.json", "comparison.md", "comparison.txt", "comparison.xml"]);
  const read = (name: string) => readFileSync(join(folder, report, name), "utf8");
  assert.equal(JSON.parse(read("comparison.json")).exitCode, 5);
  assert.match(read("report.html"), /Compared with an earlier report[\s\S]*>slower than allowed</);
});

function compareWithPorcupine(t: TestContext, { report, runs }: Report) {
  const porcupine = buildPorcupine(folder);
  if (porcupine.missing !== undefined) return t.skip(porcupine.missing);
  assert.deepEqual(
    porcupine.check(runs.map(({ run }) => join(folder, report, "history", historyFile(run)))),
    runs.map(({ data }) => (data.value === "violated" ? "Illegal" : "Ok")),
  );
}

async function judgeAndTamper(own: string, { runs, verdict }: Report) {
  const judged = () => judgeHistory(own, "0", { color: false, width: 120 });
  const before = await judged();
  assert.equal(before.exitCode, 0, before.text);
  assert.ok(before.text.includes(verdict.line), before.text);
  const held = runs.find(({ strategy }) => strategy === "row-lock")!;
  changeLines(join(own, "history", historyFile(held.run)), (lines) => {
    const write = lines.findLast(({ type }) => type === "write");
    write.readVersion -= 1;
  });
  const after = await judged();
  assert.equal(after.exitCode, 1, after.text);
  assert.match(after.text, /^VERDICT: violated: "row-lock" \(repeat 1\) should hold and did not/m);
}
