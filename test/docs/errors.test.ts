/** docs/errors.md lists each error of the code once, with the outcome that the code gives it, and no other error. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { EXIT } from "../../coordinator/judge/report-data.ts";
import * as locks from "../../worker/locks/lock.ts";
import { ERROR_CLASSES, outcomeOf } from "../../worker/outcome.ts";
import { MYSQL_ERRORS, REDIS_ERRORS, ZOOKEEPER_ERRORS } from "../../worker/server-errors.ts";
import { CONSUL_ERRORS } from "../../worker/servers/consul-errors.ts";
import { ETCD_ERRORS } from "../../worker/servers/etcd-errors.ts";

const ROOT = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
const source = globSync("{worker,coordinator}/**/*.ts", { cwd: ROOT }).map(read).join("\n");
const page = read("docs/errors.md");

/** Not listed itself: it is counted under its `class`. */
const CONTAINER = "OperationError";

/** Rows of a section's table: the first cell without backquotes, and the second one. */
function rows(title: string): (readonly [string, string])[] {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${title}\n`));
  assert.ok(section, `docs/errors.md has a section "${title}"`);
  return [...section.matchAll(/^\| (.+?) \| (.+?) \|/gm)]
    .map(([, first, second]) => [first!.replaceAll("`", ""), second!] as const)
    .filter(([first]) => first !== "---")
    .slice(1);
}

const ofOperations = rows("Errors that end an operation");
const ofWorkers = rows("Errors that end a worker");
const named = [...ofOperations, ...ofWorkers, ...rows("Errors that end a run"), ...rows("Errors that end the program")];

/** Every class of the source that descends from Error. */
function errorsOfTheSource(): string[] {
  const parents = new Map([...source.matchAll(/\bclass (\w+) extends (\w+)/g)].map(([, name, base]) => [name!, base!]));
  const isError = (name: string | undefined): boolean =>
    name !== undefined && (name === "Error" || isError(parents.get(name)));
  return [...parents.keys()].filter(isError);
}

test("every error stands in a table of the page once, and no other name does", () => {
  const errors = errorsOfTheSource();
  assert.ok(errors.includes(CONTAINER) && errors.includes("LockLost") && errors.includes("KubernetesError"));
  const expected = [...ERROR_CLASSES, ...errors.filter((name) => name !== CONTAINER)];
  assert.deepEqual(named.map(([name]) => name).sort(), expected.sort());
});

test("every class of an operation's error is produced somewhere", () => {
  const isUnused = (name: string) => source.split(`"${name}"`).length - 1 < 2;
  assert.deepEqual(ERROR_CLASSES.filter(isUnused), []);
});

test("an operation's errors have the outcome that the source gives them", () => {
  const given = [...source.matchAll(/\bOperationError\(\s*"(rejected|unknown)",\s*"([\w-]+)"/g)];
  assert.ok(given.length >= 5, `${given.length} found`);
  const outcomes = new Map(ofOperations);
  for (const [, outcome, name] of given) assert.equal(outcomes.get(name!), outcome, name);
  for (const [name, outcome] of ofOperations) assert.match(outcome, /^(rejected|unknown)$/, name);
});

test("an error of a lock ends its operation, or its worker where outcomeOf throws it on", () => {
  const isLockError = (value: unknown): value is typeof locks.LockError =>
    typeof value === "function" && (value === locks.LockError || value.prototype instanceof locks.LockError);
  const errors = Object.values(locks).filter(isLockError);
  assert.ok(errors.length > 2);
  for (const LockError of errors) {
    const error = new LockError("of a test");
    let outcome = "ends the worker";
    try {
      outcome = outcomeOf(error).outcome;
    } catch (thrown) {
      assert.equal(thrown, error);
    }
    const table = outcome === "ends the worker" ? ofWorkers : ofOperations;
    assert.deepEqual(
      table.filter(([name]) => name === error.name),
      [[error.name, outcome]],
    );
  }
});

test("each answer of a server stands on the page, with its fix and whether it is waited for", () => {
  const listed = [...page.matchAll(/^\| (.+?) \| (ends at once|waited for) \| (.+?) \|$/gm)].map((row) => row.slice(1));
  const known = [...REDIS_ERRORS, ...MYSQL_ERRORS, ...ZOOKEEPER_ERRORS, ...CONSUL_ERRORS, ...ETCD_ERRORS];
  assert.ok(known.length > 30);
  for (const [name, , fix, final] of known) {
    const row = [name, final ? "ends at once" : "waited for", fix];
    assert.deepEqual(
      listed.filter(([answer]) => answer === name),
      [row],
    );
  }
});

test("no sentence of the page names an error that does not exist", () => {
  const exists = new Set(errorsOfTheSource());
  const names = [...page.matchAll(/`((?:Lock[A-Z]\w*)|\w+Error)`/g)].map(([, name]) => name!);
  assert.deepEqual(
    names.filter((name) => !exists.has(name)),
    [],
  );
});

test("the exit statuses are those of the coordinator and of a worker", () => {
  const statuses = (title: string) => rows(title).map(([status]) => Number(status));
  const main = read("coordinator/main.ts");
  const terminated = Number(/\bTERMINATED = (\d+)/.exec(main)![1]);
  assert.deepEqual(statuses("Exit status of the coordinator"), [...Object.values(EXIT), terminated]);
  const ends = [...read("worker/main.ts").matchAll(/\b(?:end|exit)\((\d+)/g)].map(([, status]) => Number(status));
  const different = [...new Set(ends)].sort((a, b) => a - b);
  assert.deepEqual(statuses("Exit status of a worker"), different);
});
