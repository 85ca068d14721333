/** The flags of `run`, made of the schema of its options. */
import { Option } from "commander";
import * as z from "zod";
import { kebabCase, linesOf, parse } from "./plan/options.ts";
import { RunOptions } from "./plan/settings.ts";

/** One flag and one variable for each option of the schema. */
export function runFlags(): Option[] {
  return Object.entries(RunOptions.shape).map(([key, schema]) => {
    const kebab = kebabCase(key);
    const inner = schema.unwrap();
    const fallback = schema.parse(undefined);
    const given = placeholder(key, inner);
    const flag = `--${kebab} ${fallback === false ? `[${given}]` : `<${given}>`}`;
    const option = new Option(flag, schema.description).env(`HOLDFAST_${kebab.replaceAll("-", "_").toUpperCase()}`);
    if (!Array.isArray(fallback) && fallback !== undefined) option.default(fallback);
    if (fallback === false) option.preset("true");
    // A command may contain commas, so --lock is repeated, and its variable has one lock in each line.
    return option.argParser((text: string, before: unknown) =>
      key === "lock" ? [before ?? [], linesOf(text)].flat() : read(inner, kebab, text),
    );
  });
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function placeholder(key: string, schema: z.ZodType): string {
  if (key === "lock") return "name=command";
  if (schema instanceof z.ZodBoolean) return "true|false";
  if (schema instanceof z.ZodArray) return "names";
  return schema instanceof z.ZodNumber ? "n" : schema instanceof z.ZodEnum ? "name" : "duration";
}

function read(schema: z.ZodType, name: string, text: string): unknown {
  const value =
    schema instanceof z.ZodBoolean
      ? ({ true: true, false: false }[text] ?? text)
      : schema instanceof z.ZodNumber
        ? text.trim() === ""
          ? text
          : Number(text)
        : schema instanceof z.ZodArray
          ? text
              .split(",")
              .map((part) => part.trim())
              .filter((part) => part !== "")
          : text;
  return parse(schema, value, `--${name} ${text}`);
}
