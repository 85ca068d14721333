import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";

/** Compares with test/golden/<name>; with UPDATE_GOLDEN=1, writes the file instead. */
export function assertGolden(name: string, text: string): void {
  const path = new URL(`../golden/${name}`, import.meta.url);
  if (process.env.UPDATE_GOLDEN) writeFileSync(path, text);
  assert.equal(text, readFileSync(path, "utf8"), `differs from test/golden/${name}; UPDATE_GOLDEN=1 rewrites it`);
}
