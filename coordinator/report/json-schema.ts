import * as z from "zod";
import { Report } from "../judge/report-data.ts";

/** JSON Schema (draft 2020-12) of report.json, from the zod schema. */
export function reportJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(Report, { target: "draft-2020-12" });
  return {
    $schema,
    title: "Holdfast report",
    description: "What a report of Holdfast holds. Numbers that are missing are null or absent, never 0.",
    ...schema,
  };
}
