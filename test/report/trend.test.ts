/** The list of earlier reports and the page of their trend. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type EarlierReports, formatEarlierReports } from "../../coordinator/report/earlier-reports.ts";
import { renderTrend } from "../../coordinator/report/page/trend.ts";
import { assertGolden } from "../support/golden.ts";
import { offencesIn, parsePage } from "../support/page.ts";
import { earlierReports } from "../support/sample-history.ts";

const text = (found: EarlierReports, width = 120) => formatEarlierReports(found, { color: false, width });

describe("the list", () => {
  test("has date, scenario, verdict and cost of each report, oldest first, and what could not be read", () => {
    assertGolden("history.txt", text(earlierReports(), 100));
  });

  test("fits every terminal", () => {
    for (const width of [60, 80, 100, 120])
      assert.deepEqual(
        text(earlierReports(), width)
          .split("\n")
          .filter((line) => line.length > width),
        [],
      );
  });

  test("a report in which nothing held has no cost", () => {
    const found = earlierReports();
    const [first] = found.reports;
    const broken = { ...first!.report, runs: first!.report.runs.filter(({ control }) => control) };
    assert.match(text({ reports: [{ report: broken }], unreadable: [] }), / – +no data +no data$/m);
  });
});

describe("the page", () => {
  const page = renderTrend(earlierReports());
  const { elements } = parsePage(page);

  test("golden", () => assertGolden("history.html", page));

  test("is well-formed, runs and loads nothing, and links only to pages beside it", () => {
    const links = elements.flatMap(({ name, attributes }) => (name === "a" ? [attributes.href] : []));
    assert.deepEqual(links, ["r3/report.html", "r2/report.html", "r1/report.html"]);
    const others = elements.filter(({ name }) => name !== "a");
    assert.deepEqual(offencesIn({ elements: others }), []);
    assert.doesNotMatch(page, /NaN|Infinity|undefined|\[object/);
  });

  test("draws a line for each run that is no control, where reports have the same settings", () => {
    const drawn = /compare: committed\/s by report[\s\S]*?<\/svg>/.exec(page)![0];
    assert.equal(drawn.match(/<path /g)!.length, 3);
    assert.equal(drawn.match(/<circle /g)!.length, 9);
    assert.doesNotMatch(drawn, />(memory|none)\b/);
  });

  test("marks a run that was not as expected, and only that one", () => {
    const rings = elements.filter(({ name, attributes }) => name === "circle" && attributes.r === "6");
    // One in the drawing of the throughput, one in that of p99.
    assert.equal(rings.length, 2);
    assert.match(page, /redis, report r2 [^<]*NOT AS EXPECTED/);
  });

  test("does not connect runs with different settings", () => {
    const found = earlierReports();
    const last = found.reports.at(-1)!;
    for (const run of last.report.runs) run.plan = { ...run.plan, workers: 8 };
    const drawn = /compare: committed\/s by report[\s\S]*?<\/svg>/.exec(renderTrend(found))![0];
    assert.equal(drawn.match(/<path /g)!.length, 6);
    assert.match(drawn, />redis, 8 workers</);
  });
});
