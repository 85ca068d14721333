/**
 * docs/history.schema.json and the tables of docs/history.md are those of the zod schemas, and real lines fit the schema.
 * `UPDATE_GOLDEN=1 node --test test/docs/history.test.ts` writes both.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { reportLine, runLines } from "../../coordinator/judge/history.ts";
import { historyJsonSchema } from "../../coordinator/report/json-schema.ts";
import { serial } from "../support/histories.ts";
import {
  assertDescribed,
  assertListedOnce,
  assertWritten,
  fieldsOf,
  type Schema,
  withFieldTables,
} from "../support/report-fields.ts";
import { recordedOf, wholeReport } from "../support/saved-history.ts";

const SELF = "test/docs/history.test.ts";
const DOCS = join(import.meta.dirname, "../../docs");
const PAGE = join(DOCS, "history.md");
const page = readFileSync(PAGE, "utf8");
const schema = historyJsonSchema();
const lines = schema.$defs as Record<string, Schema>;
const fields = Object.entries(lines).flatMap(([type, line]) => fieldsOf(line, `${type}.`));

test("docs/history.schema.json is the schema of the code", () => {
  assertWritten(join(DOCS, "history.schema.json"), `${JSON.stringify(schema, null, 2)}\n`, SELF);
});

test("docs/history.md has a row for each field of the schema, with its description", () => {
  assertWritten(PAGE, withFieldTables(page, fields), SELF);
});

test("every field of the schema stands on the page once, and no other does", () => assertListedOnce(page, fields));

test("every field is described, and what null or absent means is said", () => assertDescribed(fields));

test("the lines of a history fit the schema, and others do not", () => {
  const serverFaults = [{ name: "redis-stall" as const, startedAtUs: 1, endedAtUs: 2 }];
  const evidence = {
    ...serial(20),
    servers: { before: {}, after: {} },
    serverFaults,
    problems: ["a server was lost"],
  };
  const texts = [reportLine(wholeReport([evidence])), ...runLines(recordedOf(evidence))].join("").trimEnd().split("\n");
  const validate = new Ajv2020({ strict: false, formats: { "date-time": true } }).compile(schema);
  const types = new Set<string>();
  for (const line of texts.map((text) => JSON.parse(text) as { readonly type: string })) {
    assert.ok(validate(line), JSON.stringify(validate.errors));
    types.add(line.type);
    assert.ok(!validate({ ...line, type: "other" }));
  }
  assert.deepEqual([...types], Object.keys(lines));
});
