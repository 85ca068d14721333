/** Reads report.json of any version of Holdfast that has the same schema. Pure. */
import type * as z from "zod";
import { Report } from "./report-data.ts";

/** Returns the report. Throws an Error that says in one line what is wrong with the text. */
export function readReport(text: string): Report {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (error) {
    throw new Error(`is not JSON: ${(error as Error).message}`);
  }
  const schema = (data as { schema?: unknown } | null)?.schema;
  const known = Report.shape.schema.value;
  if (typeof schema !== "string" || !schema.startsWith("holdfast/report/"))
    throw new Error("is not a report of Holdfast: give it the report.json of one");
  if (schema !== known)
    throw new Error(`has the schema ${schema}, and this version of Holdfast reads ${known}: make the report anew`);
  return parse(data);
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** A later version may add fields, which are left out here: see docs/report.md. */
function parse(data: unknown): Report {
  const result = Report.safeParse(data);
  if (result.success) return result.data;
  const { issues } = result.error;
  const unnamed = issues.filter(({ code }) => code === "unrecognized_keys");
  if (unnamed.length < issues.length) {
    const issue = issues.find((each) => !unnamed.includes(each))!;
    throw new Error(`is not a whole report: ${issue.path.join(".")}: ${issue.message}`);
  }
  const stripped = structuredClone(data);
  for (const issue of unnamed) removeKeys(stripped, issue as z.core.$ZodIssueUnrecognizedKeys);
  return parse(stripped);
}

function removeKeys(data: unknown, { path, keys }: z.core.$ZodIssueUnrecognizedKeys) {
  const owner = path.reduce((value, key) => (value as Record<PropertyKey, unknown>)[key], data);
  for (const key of keys) delete (owner as Record<string, unknown>)[key];
}
