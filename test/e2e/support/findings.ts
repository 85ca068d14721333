/** What tests look for in a report. */
import assert from "node:assert/strict";
import type { Report, RunReport } from "../../../coordinator/judge/report-data.ts";
import type { End } from "./site.ts";

export function runOf(report: Report, strategy: string): RunReport {
  const found = report.runs.filter((run) => run.strategy === strategy);
  assert.equal(found.length, 1, `${found.length} runs of ${strategy}; ${report.verdict.reasons.join("; ")}`);
  return found[0]!;
}

/** `none violated`, `redis holds`: each strategy with its data verdict, in the order of the runs. */
export const dataOf = ({ runs }: Report) => runs.map(({ strategy, data }) => `${strategy} ${data.value}`);

/** Asserts that the three counts agree for each worker of the run. */
export function assertBooksAgree({ strategy, reconciliation }: RunReport, workers: number): void {
  assert.equal(reconciliation.length, workers, `${strategy}: rows of the reconciliation`);
  for (const row of reconciliation) {
    const { worker, prometheus, reported, ledger } = row;
    assert.deepEqual([prometheus, reported], [ledger, ledger], `${strategy}, worker-${worker}`);
  }
  assert.equal(new Set(reconciliation.map(({ uid }) => uid)).size, workers, `${strategy}: pods`);
}

/** Whether a text contains this line, regardless of line breaks. */
export const says = (text: string, line: string) => text.replace(/\s+/g, " ").includes(line.replace(/\s+/g, " "));

/**
 * Asserts that the Job's condition, the pod's exit status and termination message, its log, and the ConfigMap agree.
 */
export function assertAgreement(end: End, exitCode: number): void {
  const { verdict } = end.report;
  assert.equal(end.exitCode, exitCode, end.words);
  assert.equal(verdict.exitCode, exitCode);
  assert.equal(end.condition, exitCode === 0 ? "Complete" : "Failed");
  assert.equal(end.words, verdict.line);
  assert.ok(says(end.log, verdict.line), "the verdict stands in the log");
  assert.ok(says(end.files["report.txt"] ?? "", verdict.line), "the verdict stands in report.txt");
  const unescaped = (end.files["report.md"] ?? "").replace(/\\(\W|_)/g, "$1");
  assert.ok(says(unescaped, verdict.line), "the verdict stands in report.md");
  assert.match(end.files["junit.xml"] ?? "", /<testsuites/);
  const state = JSON.parse(end.files["state.json"] ?? "null");
  assert.deepEqual(state.verdict, { exitCode, line: verdict.line, final: true });
}
