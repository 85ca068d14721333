/** The fields of a JSON Schema, as the tables of docs/report.md and docs/history.md list them. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { markdownTable } from "markdown-table";

/** The part of JSON Schema that the schema of the report uses. */
export interface Schema {
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
}

export interface Field {
  /** `runs[].checks[].status` */
  readonly path: string;
  readonly type: string;
  /** One for each place of a union in which the field stands. */
  readonly descriptions: readonly (string | undefined)[];
}

/** Every field, a field with fields of its own before them. */
export function fieldsOf(schema: Schema, prefix = ""): Field[] {
  const parts = branchesOf(schema).flatMap((part) => (part.type === "array" ? [part.items!] : [part]));
  const objects = parts.flatMap(branchesOf).filter(({ properties }) => properties !== undefined);
  const names = new Set(objects.flatMap(({ properties }) => Object.keys(properties!)));
  return [...names].flatMap((name) => {
    const found = objects.flatMap(({ properties }) => properties![name] ?? []);
    const isAlways = objects.every(({ required = [] }) => required.includes(name));
    const types = joined(found.map(typeOf));
    const path = prefix + name;
    const own = {
      path,
      type: isAlways ? types : `${types}; optional`,
      descriptions: found.map(({ description }) => description),
    };
    return [own, ...found.slice(0, 1).flatMap((one) => fieldsOf(one, `${path}${isArray(one) ? "[]" : ""}.`))];
  });
}

/**
 * The page with a table after each line `<!-- fields: PREFIX -->`, up to the next `<!-- end -->`. A field stands in the
 * table with the longest PREFIX that its path begins with; the empty one is that of the report itself.
 */
export function withFieldTables(page: string, fields: readonly Field[]): string {
  const prefixes = [...page.matchAll(START)].map(([, prefix]) => prefix!);
  const tableOf = (field: Field) =>
    prefixes.filter((prefix) => field.path.startsWith(prefix)).sort((a, b) => b.length - a.length)[0];
  return page.replace(TABLE, (_, start: string, prefix: string) => {
    const rows = fields
      .filter((field) => tableOf(field) === prefix)
      .map(({ path, type, descriptions }) => [`\`${path.slice(prefix.length)}\``, type, meaning(descriptions)]);
    const table = markdownTable(
      [[prefix === "" ? "Field" : `Field of \`${prefix.slice(0, -1)}\``, "Type", "Meaning"], ...rows],
      { alignDelimiters: false, padding: true },
    );
    return `${start}\n\n${table}\n\n<!-- end -->`;
  });
}

/** With UPDATE_GOLDEN=1, the file is written in place of the comparison. */
export function assertWritten(path: string, text: string, test: string): void {
  if (process.env.UPDATE_GOLDEN) writeFileSync(path, text);
  const command = `UPDATE_GOLDEN=1 node --test ${test}`;
  assert.equal(readFileSync(path, "utf8"), text, `${path} is not that of the schema; ${command} writes it`);
}

export function assertListedOnce(page: string, fields: readonly Field[]): void {
  const tables = [...page.matchAll(/^<!-- fields: (\S*) ?-->$([\s\S]*?)^<!-- end -->$/gm)];
  const listed = tables.flatMap(([, prefix, table]) =>
    [...table!.matchAll(/^\| `(\S+)` \|/gm)].map(([, name]) => prefix! + name!),
  );
  assert.deepEqual(listed.sort(), fields.map(({ path }) => path).sort());
}

/** Every field has a description, and that of a field that can be null or absent says what that means. */
export function assertDescribed(fields: readonly Field[]): void {
  const bare = fields.filter(({ descriptions }) => descriptions.some((text) => text === undefined));
  assert.deepEqual(
    bare.map(({ path }) => path),
    [],
  );
  const silent = fields.filter(({ type, descriptions }) => {
    const text = descriptions.join(" ");
    return (
      (/\bnull\b/.test(type) && !/\bnull\b/.test(text)) ||
      (/; optional$/.test(type) && !/\b(absent|only|left out)\b/i.test(text))
    );
  });
  assert.deepEqual(
    silent.map(({ path }) => path),
    [],
  );
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const START = /^<!-- fields: (\S*) ?-->$/gm;
const TABLE = /^(<!-- fields: (\S*) ?-->)$[\s\S]*?^<!-- end -->$/gm;
/** A longer list of values stands on a page of its own, which the description names. */
const VALUES_MAX = 10;

const branchesOf = ({ anyOf, oneOf, ...schema }: Schema): readonly Schema[] => anyOf ?? oneOf ?? [schema];
const isArray = (schema: Schema) => branchesOf(schema).some(({ type }) => type === "array");

function typeOf(schema: Schema): string {
  const branches = schema.anyOf ?? schema.oneOf;
  if (branches !== undefined) return joined(branches.map(typeOf));
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.enum !== undefined && schema.enum.length <= VALUES_MAX)
    return schema.enum.map((value) => `\`${value}\``).join(", ");
  if (schema.type === "array") {
    const type = typeOf(schema.items!);
    return /^\w+$/.test(type) ? `list of ${type}s` : `list of ${type}`;
  }
  if (schema.format === "date-time") return "time";
  if (schema.additionalProperties !== undefined) return "map";
  return [schema.type ?? "any"].flat().join(" or ");
}

/** Values are separated by commas, types by "or". */
const joined = (types: readonly string[]) =>
  [...new Set(types)].join(types.every((type) => type.startsWith("`")) ? ", " : " or ");

/** Joins the descriptions of a union; the first letter of each further one becomes lower case. */
const meaning = (descriptions: readonly (string | undefined)[]) =>
  [...new Set(descriptions)]
    .map((text = "", index) => (index === 0 ? text : text.charAt(0).toLowerCase() + text.slice(1)))
    .join("; ");
