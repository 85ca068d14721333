/** The option that decides how much of the report is printed, and nothing else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readInvocation } from "../../coordinator/config.ts";

const configOf = (args: readonly string[]) => {
  const invocation = readInvocation(args, {}, "1");
  if (invocation.command !== "run") throw new Error(`not run but ${invocation.command}`);
  return invocation.config;
};

test("--verbose needs no value, takes one, and has a variable", (context) => {
  const verbose = (...args: string[]) => configOf(args).options.verbose;
  assert.deepEqual([verbose(), verbose("--verbose"), verbose("--verbose", "false")], [false, true, false]);
  assert.equal(verbose("--verbose", "--workers", "2"), true);
  // Commander reads the variables of options from the process itself.
  context.after(() => delete process.env.HOLDFAST_VERBOSE);
  process.env.HOLDFAST_VERBOSE = "true";
  assert.deepEqual([verbose(), verbose("--verbose", "false")], [true, false]);
});

test("--verbose changes no run", () => {
  const [plain, verbose] = [configOf([]), configOf(["--verbose"])];
  assert.deepEqual([verbose.settings, verbose.plans], [plain.settings, plain.plans]);
});
