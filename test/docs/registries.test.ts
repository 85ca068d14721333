/** Two pages are written by hand from a registry: each lists every entry once, and no others. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { planRuns, SCENARIO_NAMES } from "../../coordinator/plan/scenarios/index.ts";
import { readRunOptions } from "../../coordinator/plan/settings.ts";
import { type Expectation, STRATEGIES, STRATEGY_NAMES } from "../../worker/contract.ts";

const ROOT = join(import.meta.dirname, "../..");

/** The cells of the page's first table whose first column has this title, without the head. A `|` ends a cell. */
function tableOf(path: string, title: string): string[][] {
  const lines = readFileSync(join(ROOT, path), "utf8").split("\n");
  const head = lines.findIndex((line) => line.startsWith(`| ${title} |`));
  assert.ok(head >= 0, `${path} has a table of each ${title}`);
  const length = lines.slice(head).findIndex((line) => !line.startsWith("|"));
  return lines.slice(head + 2, head + length).map((line) => line.slice(2, -2).split(" | "));
}

/** The name in a first cell: `name`, or a link with it. */
const nameIn = ([cell]: readonly string[]) => /`([\w-]+)`/.exec(cell!)?.[1] ?? cell!;

const STRATEGIES_PAGE = "docs/strategies.md";
const strategyRows = tableOf(STRATEGIES_PAGE, "strategy");

test(`${STRATEGIES_PAGE} has a row for each strategy`, () => {
  assert.deepEqual(strategyRows.map(nameIn).sort(), [...STRATEGY_NAMES].sort());
});

test(`${STRATEGIES_PAGE} says of each strategy what theory expects of it`, () => {
  const word = (expectation: Expectation) => (expectation === "unclaimed" ? "-" : expectation);
  const claimed = strategyRows.map((row) => [nameIn(row), row[1]!, row[2]!]);
  const expected = STRATEGY_NAMES.map((name) => {
    const { data, exclusion } = STRATEGIES[name].expects;
    return [name, word(data), word(exclusion)];
  });
  assert.deepEqual(claimed.sort(), expected.sort());
});

const SCENARIOS_PAGE = "docs/scenarios/README.md";
const scenarioRows = tableOf(SCENARIOS_PAGE, "scenario");

test(`${SCENARIOS_PAGE} has a row for each scenario`, () => {
  assert.deepEqual(scenarioRows.map(nameIn).sort(), [...SCENARIO_NAMES].sort());
});

test(`${SCENARIOS_PAGE} says how many runs each scenario makes`, () => {
  const made = (scenario: string) => planRuns(readRunOptions({ scenario }).settings).length;
  assert.deepEqual(
    scenarioRows.map((row) => [nameIn(row), Number(row.at(-1))]),
    scenarioRows.map((row) => [nameIn(row), made(nameIn(row))]),
  );
});

test(`${SCENARIOS_PAGE} links to a page wherever there is one`, () => {
  const folder = dirname(SCENARIOS_PAGE);
  for (const row of scenarioRows) {
    const page = `${nameIn(row)}.md`;
    assert.equal(row[0]!.includes(`(${page})`), existsSync(join(ROOT, folder, page)), page);
  }
});
