/** Reading report.json: an older schema is refused by name, a newer field is left out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readReport } from "../../coordinator/judge/read-report.ts";
import { sampleReport } from "../support/sample-report.ts";

test("a report is read as it was written, without fields that a later version added anywhere", () => {
  const report = sampleReport();
  const later = structuredClone(report);
  const added: object[] = [later, later.runs[0]!, later.runs[1]!.plan, later.runs[2]!.data, later.acl[0]!];
  for (const owner of added) Object.assign(owner, { addedLater: { inside: 1 } });
  assert.deepEqual(readReport(JSON.stringify(later)), JSON.parse(JSON.stringify(report)));
});

for (const [what, text, reason] of [
  ["not JSON", "VERDICT: violated", /^is not JSON: /],
  ["other JSON", '{"name":"holdfast"}', /^is not a report of Holdfast/],
  ["null", "null", /^is not a report of Holdfast/],
  [
    "an older schema",
    '{"schema":"holdfast/report/v1"}',
    /^has the schema holdfast\/report\/v1, and .* reads holdfast\/report\/v2/,
  ],
  ["half a report", '{"schema":"holdfast/report/v2"}', /^is not a whole report: /],
  [
    "a wrong type",
    JSON.stringify({ ...sampleReport(), runs: [{ ...sampleReport().runs[0], throughput: "fast" }] }),
    /^is not a whole report: runs\.0\.throughput: /,
  ],
] as const)
  test(`${what} is refused in one line`, () => {
    assert.throws(
      () => readReport(text),
      (error: Error) => reason.test(error.message) && !error.message.includes("\n"),
    );
  });
