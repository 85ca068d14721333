/**
 * docs/report.schema.json and the tables of docs/report.md are those of the zod schema, and each field is described.
 * `UPDATE_GOLDEN=1 node --test test/docs/report.test.ts` writes both.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CHECK_NAMES } from "../../coordinator/judge/report-data.ts";
import { reportFiles } from "../../coordinator/report/files.ts";
import { reportJsonSchema } from "../../coordinator/report/json-schema.ts";
import {
  assertDescribed,
  assertListedOnce,
  assertWritten,
  fieldsOf,
  withFieldTables,
} from "../support/report-fields.ts";
import { sampleReport, troubledReport, violatedReport } from "../support/sample-report.ts";

const SELF = "test/docs/report.test.ts";
const DOCS = join(import.meta.dirname, "../../docs");
const PAGE = join(DOCS, "report.md");
const page = readFileSync(PAGE, "utf8");
const fields = fieldsOf(reportJsonSchema());

test("docs/report.schema.json is the schema of the code", () => {
  assertWritten(join(DOCS, "report.schema.json"), `${JSON.stringify(reportJsonSchema(), null, 2)}\n`, SELF);
});

test("docs/report.md has a row for each field of the schema, with its description", () => {
  assertWritten(PAGE, withFieldTables(page, fields), SELF);
});

test("every field of the schema stands on the page once, and no other does", () => assertListedOnce(page, fields));

test("every field is described, and what null or absent means is said", () => assertDescribed(fields));

/** All paths of the values of a report, without the schema. Keys of a map are values. */
function pathsIn(value: unknown, path: string): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => pathsIn(item, `${path}[]`));
  if (typeof value !== "object" || value === null || maps.has(path)) return [];
  return Object.entries(value).flatMap(([name, inner]) => {
    const own = path === "" ? name : `${path}.${name}`;
    return [own, ...pathsIn(inner, own)];
  });
}
const maps = new Set(fields.filter(({ type }) => type.startsWith("map")).map(({ path }) => path));

test("every field of a report is listed", () => {
  const listed = new Set(fields.map(({ path }) => path));
  const reports = JSON.parse(JSON.stringify([sampleReport(), troubledReport(), violatedReport()]));
  const paths = new Set((reports as unknown[]).flatMap((report) => pathsIn(report, "")));
  assert.ok(paths.size > 70, `${paths.size} paths`);
  assert.ok(paths.has("runs[].checks[].witnesses[].text") && paths.has("runs[].reconciliation[].log"));
  assert.deepEqual(
    [...paths].filter((path) => !listed.has(path)),
    [],
  );
});

/** The name in the first cell of each row of the section's table. */
const namesIn = (title: string) => {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${title}\n`));
  assert.ok(section, `docs/report.md has a section "${title}"`);
  return [...section.matchAll(/^\| `([\w.-]+)` \|/gm)].map(([, name]) => name!);
};

test("docs/report.md has a row for each file and each check", () => {
  assert.deepEqual(namesIn("The files").sort(), Object.keys(reportFiles(sampleReport())).sort());
  assert.deepEqual(namesIn("The checks"), [...CHECK_NAMES]);
});
