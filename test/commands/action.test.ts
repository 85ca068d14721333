/** The scripts of action.yml as GitHub runs them: one report, the job summary, the outputs, the exit status. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { parse } from "yaml";
import { Report } from "../../coordinator/judge/report-data.ts";

const ROOT = join(import.meta.dirname, "../..");
const { steps } = parse(readFileSync(join(ROOT, "action.yml"), "utf8")).runs as {
  steps: { name?: string; run?: string }[];
};
const scriptOf = (name: string) => steps.find((step) => step.name === name)!.run!;

const folder = mkdtempSync(join(tmpdir(), "holdfast-action-"));
const [output, summary] = [join(folder, "output"), join(folder, "summary")];
after(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => {
  for (const file of [output, summary]) writeFileSync(file, "");
});

/** As `shell: bash` does it. */
function runStep(name: string, variables: Readonly<Record<string, string>>) {
  const env = {
    PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
    HOME: folder,
    TMPDIR: folder,
    RUNNER_TEMP: folder,
    GITHUB_ACTION_PATH: ROOT,
    GITHUB_OUTPUT: output,
    GITHUB_STEP_SUMMARY: summary,
    ...variables,
  };
  const script = join(folder, "step.sh");
  writeFileSync(script, scriptOf(name));
  const bash = ["--noprofile", "--norc", "-eo", "pipefail", script];
  const { status, stdout, stderr } = spawnSync("bash", bash, { cwd: folder, env, encoding: "utf8" });
  return { status, log: stdout + stderr };
}

const outputs = () =>
  Object.fromEntries([...readFileSync(output, "utf8").matchAll(/^([\w-]+)=(.*)$/gm)].map(([, ...pair]) => pair));
const ARGS = "--strategies none,row-lock  --duration 1500ms";

test("a report, then one that is slower than its baseline: both are kept, and the second fails with 5", () => {
  const first = runStep("Run", { ARGS, BASELINE: "", MAX_DROP: "" });
  assert.equal(first.status, 0, first.log);
  const { folder: made, "exit-status": status } = outputs();
  assert.equal(status, "0", first.log);
  assert.match(readFileSync(summary, "utf8"), /^# Holdfast .*: compare\n\n\*\*As expected\*\*/);

  const report = Report.parse(JSON.parse(readFileSync(join(made!, "report.json"), "utf8")));
  const base = join(folder, "a base.json");
  const runs = report.runs.map((run) => ({ ...run, throughput: run.throughput! * 10 }));
  writeFileSync(base, JSON.stringify({ ...report, runs }));
  for (const file of [output, summary]) writeFileSync(file, "");
  const second = runStep("Run", { ARGS, BASELINE: base, MAX_DROP: "20%" });
  assert.equal(second.status, 0, second.log);
  assert.equal(outputs()["exit-status"], "5", second.log);
  assert.match(
    readFileSync(summary, "utf8"),
    /^# Comparison of two reports[\s\S]*slower than allowed[\s\S]*^# Holdfast /m,
  );
  assert.ok(readdirSync(outputs().folder!).includes("comparison.md"));
  assert.equal(runStep("Result", { STATUS: "5" }).status, 5);
  assert.equal(runStep("Result", { STATUS: "0" }).status, 0);
});

test("without a report the step fails with the status, and the summary says so", () => {
  const { status, log } = runStep("Run", { ARGS: "", BASELINE: join(folder, "none.json"), MAX_DROP: "" });
  assert.equal(status, 2, log);
  assert.match(log, /none\.json: there is no such file/);
  assert.match(readFileSync(summary, "utf8"), /^Holdfast made no report: exit status 2/);
  assert.equal(outputs().folder, undefined);
});

test("nothing in an input is run, and no pattern in it is expanded", () => {
  const { status, log } = runStep("Run", {
    ARGS: "--strategies $(touch>bad),*,`touch>bad`",
    BASELINE: "",
    MAX_DROP: "",
  });
  assert.equal(status, 2, log);
  assert.ok(log.includes("$(touch>bad)"), log);
  assert.ok(!readdirSync(folder).includes("bad"));
});
