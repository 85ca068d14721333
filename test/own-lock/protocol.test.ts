/** docs/own-lock.schema.json and the tables of docs/own-lock.md are those of the code. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { ANSWERS, ERROR_CODES, protocolJsonSchema } from "../../worker/own-lock/protocol.ts";

const ROOT = join(import.meta.dirname, "../..");
const SCHEMA = join(ROOT, "docs/own-lock.schema.json");
const page = readFileSync(join(ROOT, "docs/own-lock.md"), "utf8");

test("docs/own-lock.schema.json is the schema of the code", () => {
  const text = `${JSON.stringify(protocolJsonSchema(), null, 2)}\n`;
  if (process.env.UPDATE_GOLDEN) writeFileSync(SCHEMA, text);
  assert.equal(
    readFileSync(SCHEMA, "utf8"),
    text,
    "UPDATE_GOLDEN=1 node --test test/own-lock/protocol.test.ts writes it",
  );
});

test("the schema accepts messages of both directions, and refuses others", () => {
  const validate = new Ajv2020({ strict: false }).compile(protocolJsonSchema());
  for (const message of [
    { type: "acquire", id: 1, key: "row:1", hold: "a", timeout_ms: 100, later: true },
    { type: "acquired", re: 1, hold: "a", fence: 3 },
    { type: "ready", re: 1, name: "mine" },
    { type: "lost", hold: "a" },
  ])
    assert.ok(validate(message), JSON.stringify([message, validate.errors]));
  for (const message of [{ type: "acquire", id: 1 }, { type: "hello" }, { type: "acquired", hold: "a" }, "text"])
    assert.ok(!validate(message), JSON.stringify(message));
});

test("the page has each request with its answers, and each code of an error", () => {
  const rows = [...page.matchAll(/^\| `(\w+)` \| [^|]*\| ([^|]+) \|/gm)].map(([, request, answers]) => [
    request,
    [...answers!.matchAll(/`(\w+)`(?! *[,}])/g)].map(([, answer]) => answer),
  ]);
  assert.deepEqual(
    rows.map(([request]) => request),
    Object.keys(ANSWERS),
  );
  for (const [request, answers] of rows)
    for (const answer of ANSWERS[request as keyof typeof ANSWERS]) assert.ok(answers!.includes(answer), `${request}`);
  for (const code of ERROR_CODES) assert.match(page, new RegExp(`\`${code}\``));
});
