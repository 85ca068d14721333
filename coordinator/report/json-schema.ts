/**
 * The published JSON Schemas (draft 2020-12), from the zod schemas. They accept fields that they do not name, because a
 * later version of Holdfast may add some; the zod schemas refuse them.
 */
import * as z from "zod";
import { ReportLine, RUN_LINES } from "../judge/history.ts";
import { Report } from "../judge/report-data.ts";

/** Returns docs/report.schema.json. */
export function reportJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = toJsonSchema(Report);
  return {
    $schema,
    title: "Holdfast report",
    description:
      "What a report of Holdfast holds. A number that is missing is null or absent, not 0, unless the field says otherwise.",
    ...schema,
  };
}

/** Returns docs/history.schema.json, which describes one line of a history. */
export function historyJsonSchema(): Record<string, unknown> {
  const lines = Object.entries(HISTORY_LINES).map(([type, line]) => [type, withoutSchema(toJsonSchema(line))]);
  return {
    $schema: toJsonSchema(ReportLine).$schema,
    title: "Holdfast history",
    description: "One line of a file of a history of Holdfast. The field type says which of these it is.",
    oneOf: lines.map(([type]) => ({ $ref: `#/$defs/${type}` })),
    $defs: Object.fromEntries(lines),
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const HISTORY_LINES = { report: ReportLine, ...RUN_LINES };

const withoutSchema = ({ $schema: _, ...schema }: Record<string, unknown>) => schema;

const toJsonSchema = (schema: z.ZodType): Record<string, unknown> =>
  z.toJSONSchema(schema, {
    target: "draft-2020-12",
    override: ({ jsonSchema }) => {
      if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
      // zod writes it for a readonly TypeScript type; in JSON Schema it means that a server owns the value.
      delete jsonSchema.readOnly;
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
