/** The page of a report, without a browser: its markup, what it says, and what it must never contain. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compareReports } from "../../coordinator/judge/comparison.ts";
import type { Report, RunReport } from "../../coordinator/judge/report-data.ts";
import { formatJson, reportFiles } from "../../coordinator/report/files.ts";
import { renderPage } from "../../coordinator/report/page/index.ts";
import { el } from "../../coordinator/report/page/markup.ts";
import { assertGolden } from "../support/golden.ts";
import { offencesIn, parsePage as parse } from "../support/page.ts";
import { repeatedReport } from "../support/sample-repeats.ts";
import { sampleReport, troubledReport, violatedReport } from "../support/sample-report.ts";
import { aclReport, contentionReport, mixedReport, ttlReport } from "../support/sample-scenarios.ts";

const SAMPLES = { sampleReport, troubledReport, violatedReport, contentionReport, ttlReport, mixedReport, aclReport };

const pageOf = (report: Report) => renderPage(report, { withData: true });

describe("every sample", () => {
  for (const [name, sample] of Object.entries(SAMPLES))
    test(`${name} is well-formed, loads nothing, runs nothing, and has only numbers as coordinates`, () => {
      const page = pageOf(sample());
      const parsed = parse(page);
      assert.deepEqual(offencesIn(parsed), []);
      assert.doesNotMatch(page.replace(/<script[\s\S]*<\/script>/, ""), /NaN|Infinity|undefined|@import|\[object/);
      const ids = parsed.elements.flatMap(({ attributes }) => attributes.id ?? []);
      assert.equal(new Set(ids).size, ids.length, "ids are unique");
    });

  test("the search for offences finds each kind", () => {
    const bad = [
      "<script>1</script>",
      '<img src="x"/>',
      '<p style="x"/>',
      '<p onclick="x"/>',
      '<a href="https://x"/>',
      '<p fill="url(#x)"/>',
    ];
    for (const source of bad) assert.equal(offencesIn(parse(`<p>${source}</p>`)).length, 1, source);
  });

  test("a coordinate that is no number is an error, not a drawing", () => {
    assert.throws(() => el("rect", { x: Number.NaN }), /not a number/);
  });

  test("goldens", () => {
    assertGolden("page.html", renderPage(sampleReport(), { withData: false }));
    assertGolden("page-violated.html", renderPage(violatedReport(), { withData: false }));
  });
});

describe("colors", () => {
  test("amber for controls, red only for an unexpected violation", () => {
    const body = (report: Report) => renderPage(report, { withData: false }).replace(/<style>[\s\S]*?<\/style>/, "");
    const calm = body(sampleReport());
    assert.match(calm, /--control-bar/);
    assert.doesNotMatch(calm, /broken/);
    assert.match(body(violatedReport()), /--broken-bar/);
  });

  test("each window has as many stale bars as it says lost updates", () => {
    const bars = (report: Report) =>
      parse(pageOf(report)).elements.filter(({ attributes }) => attributes["data-kind"] === "stale").length;
    for (const report of [sampleReport(), violatedReport()]) {
      const drawn = report.runs.flatMap(({ drawing }) => drawing?.windows ?? []);
      const stale = drawn.flatMap(({ operations }) => operations.filter((operation) => operation.stale)).length;
      assert.ok(stale > 0);
      assert.equal(bars(report), stale);
    }
  });
});

test("texts of others stay text wherever they stand", () => {
  const HOSTILE = `</script><img src=x onerror=alert(1)>"'><svg onload=alert(2)>&amp;]]>\u0000\u2028\ud800`;
  const report = JSON.parse(JSON.stringify(violatedReport()), (key, value) =>
    typeof value === "string" && HOSTILE_KEYS.has(key) ? `${value} ${HOSTILE}` : value,
  ) as Report;
  report.environment[HOSTILE] = HOSTILE;
  report.options.strategies = [HOSTILE];
  report.acl[0] = { ...report.acl[0]!, outcome: "allowed", answer: HOSTILE };
  const page = pageOf(report);
  const parsed = parse(page);
  assert.deepEqual(offencesIn(parsed), []);
  const seen = parsed.texts.filter((text) => text.includes("<img src=x onerror=alert(1)>")).length;
  assert.ok(seen >= 8, `${seen} texts`);
  const data = /<script type="application\/json" id="report">([\s\S]*?)<\/script>/.exec(page)![1]!;
  assert.deepEqual(JSON.parse(data), JSON.parse(JSON.stringify(report)));
});
const HOSTILE_KEYS = new Set([
  "where",
  "line",
  "text",
  "detail",
  "example",
  "class",
  "answer",
  "run",
  "version",
  "node",
]);

const THROUGHPUTS = { none: [860, 850, 870, 880], redis: [320, 330, 325, 329], "row-lock": [370, 375, 373, 380] };
const broken = violatedReport().runs.find(({ strategy }) => strategy === "redis")!;
const violate = (run: RunReport): RunReport =>
  run.strategy === "redis" && run.repeat === 4 ? { ...broken, run: run.run, repeat: 4, plan: run.plan } : run;

test("rejections are a line over the throughput of the run that has some, and of no other", () => {
  const page = renderPage(sampleReport(), { withData: false });
  const drawings = page.split("<svg ").filter((part) => part.includes(": throughput over time</title>"));
  const lines = drawings.map((part) => /<title>\d+ rejected<\/title>/.exec(part)?.[0]);
  assert.deepEqual(lines, [undefined, undefined, undefined, undefined, "<title>120 rejected</title>"]);
});

test("each repeat is a dot, a ring where it was not as expected, and its interval a band", () => {
  const [plain, repeated] = [sampleReport(), repeatedReport(THROUGHPUTS, violate)].map((report) =>
    renderPage(report, { withData: false }),
  );
  assert.doesNotMatch(plain!, /id="repeats"/);
  const [section = ""] = /<h2 id="repeats">[\s\S]*?<\/section>/.exec(repeated!) ?? [];
  const { elements } = parse(section.replace(/^/, "<section>"));
  const circles = elements.filter(({ name }) => name === "circle").map(({ attributes }) => attributes.r);
  assert.deepEqual([circles.length, circles.filter((r) => r === "6").length], [12, 1]);
  // A band in each row; the violated run has 4 repeats as well.
  assert.equal(elements.filter(({ name }) => name === "rect").length, 3);
  assert.match(section, /redis, repeat 4: \d+ committed\/s, NOT AS EXPECTED/);
  assert.match(section, /<td class="number">370–380<\/td>/);
});

describe("compared with an earlier report", () => {
  const withBase = (base: Report, report: Report) => {
    const page = renderPage(report, { withData: false, comparison: compareReports(base, report, 0.2) });
    assert.deepEqual(offencesIn(parse(page)), []);
    return /<h2 id="comparison">[\s\S]*?<\/section>/.exec(page)?.[0] ?? "";
  };

  test("says which verdict got worse and which run is slower than allowed", () => {
    const slower = violatedReport();
    slower.runs = slower.runs.map((run) => (run.strategy === "row-lock" ? { ...run, throughput: 100 } : run));
    const section = withBase(sampleReport(), slower);
    assert.match(section, /<div class="verdict broken"><b>a verdict got worse: /);
    assert.match(section, /<td>redis<\/td><td>data<\/td><td>holds<\/td><td>violated<\/td><td class="broken">worse</);
    assert.match(section, /<td>row-lock<\/td><td>committed\/s<\/td>.*?<td class="broken">slower than allowed<\/td>/);
  });

  test("says why two reports cannot be compared, and nothing where there is no other one", () => {
    const section = withBase({ ...sampleReport(), scenario: "all" }, sampleReport());
    assert.match(section, /<div class="verdict unsure"><b>cannot be compared/);
    assert.match(section, /Why they cannot be compared<\/h3><ul><li>scenario: all in the base report/);
    assert.doesNotMatch(pageOf(sampleReport()), /id="comparison"/);
  });
});

for (const [name, sample] of Object.entries({
  violatedReport,
  contentionReport,
  repeated: () => repeatedReport(THROUGHPUTS, violate),
}))
  test(`${name}: the places that text, Markdown and JUnit name are on the page`, () => {
    const files = reportFiles(sample());
    const ids = new Set(parse(files["report.html"]).elements.map(({ attributes }) => attributes.id));
    for (const name of ["report.txt", "report.md", "junit.xml"] as const) {
      const named = [...files[name].replace(/\\|\s+(?=\S)/g, "").matchAll(/report\.html#([\w-]+?-window-\d)/g)].map(
        ([, id]) => id!,
      );
      assert.ok(named.length > 0 || sample === contentionReport, name);
      assert.deepEqual(
        named.filter((id) => !ids.has(id)),
        [],
        name,
      );
    }
  });

test("a report without drawings, as earlier versions made it, still has a page", () => {
  const report = sampleReport();
  for (const run of report.runs) delete run.drawing;
  const page = pageOf(report);
  parse(page);
  assert.match(page, /Did each worker get its turn/);
});

test("report.json is the same data, with lists of numbers in one line", () => {
  const report = sampleReport();
  report.runs[0]!.problems = ["a [\n  1,\n  2\n] b"];
  const text = formatJson(report);
  assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(report)));
  assert.match(text, /\[ \d+, \d+, /);
});
