/** The report of a run is what its schema says, for every run that a scenario plans. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RunReport } from "../../coordinator/judge/report-data.ts";
import { judge } from "../../coordinator/judge/run-verdict.ts";
import { summarize } from "../../coordinator/judge/summarize.ts";
import { SCENARIO_NAMES } from "../../coordinator/plan/scenarios/index.ts";
import { serial, withLost } from "../support/histories.ts";
import { plans } from "../support/plans.ts";

for (const scenario of SCENARIO_NAMES)
  test(`${scenario}: each run can be written as JSON and read again`, () => {
    for (const plan of plans(scenario))
      for (const evidence of [serial(60), withLost(serial(60), 2, "killed by SIGKILL")]) {
        const report = summarize({ ...evidence, plan }, judge({ ...evidence, plan }), new Date(0), new Date(1));
        const text = JSON.stringify(report);
        assert.equal(JSON.stringify(RunReport.parse(JSON.parse(text))).length, text.length, plan.run);
      }
  });
