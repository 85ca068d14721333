/** docs/theory.md is what `holdfast theory` prints, and it has every strategy and fault. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { FAULT_NAMES } from "../../coordinator/plan/fault-theory.ts";
import { STRATEGY_NAMES } from "../../worker/contract.ts";

const ROOT = join(import.meta.dirname, "../..");
const PAGE = join(ROOT, "docs/theory.md");

test("docs/theory.md is the output of `holdfast theory`", () => {
  const command = [join(ROOT, "coordinator/main.ts"), "theory"];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  if (process.env.UPDATE_GOLDEN) writeFileSync(PAGE, stdout);
  assert.equal(readFileSync(PAGE, "utf8"), stdout, "UPDATE_GOLDEN=1 node --test test/docs/theory.test.ts writes it");
});

test("each strategy and each fault stands on the page", () => {
  const page = readFileSync(PAGE, "utf8");
  for (const name of STRATEGY_NAMES) assert.match(page, new RegExp(`^\\| ${name} +\\|`, "m"));
  for (const name of FAULT_NAMES) assert.match(page, new RegExp(`^### ${name}$`, "m"));
});
