/** The page in a real browser: Chromium of the distribution, light and dark, at three widths, and printed. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { compareReports } from "../../coordinator/judge/comparison.ts";
import { renderPage } from "../../coordinator/report/page/index.ts";
import { renderTrend } from "../../coordinator/report/page/trend.ts";
import { earlierReports } from "../support/sample-history.ts";
import { repeatedReport } from "../support/sample-repeats.ts";
import { sampleReport, violatedReport } from "../support/sample-report.ts";
import { contentionReport, ttlReport } from "../support/sample-scenarios.ts";

const SAMPLES = { sampleReport, violatedReport, contentionReport, ttlReport };
const PAGES = [
  ...Object.entries(SAMPLES).map(([name, sample]) => [name, () => renderPage(sample(), { withData: true })] as const),
  ["repeats, and a baseline", compared] as const,
  ["earlier reports", () => renderTrend(earlierReports())] as const,
];

function compared() {
  const report = repeatedReport({ none: [860, 850, 870, 880], redis: [320, 330, 325, 329] });
  return renderPage(report, { withData: false, comparison: compareReports(violatedReport(), report, 0.2) });
}

const executablePath = (process.env.PATH ?? "")
  .split(delimiter)
  .flatMap((folder) => ["chromium-headless-shell", "chromium"].map((name) => join(folder, name)))
  .find((path) => existsSync(path));

describe("in Chromium", {
  skip: executablePath === undefined && "no chromium-headless-shell and no chromium in PATH",
}, () => {
  let browser: Browser;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-page-"));
    // Root, as in a container, has no sandbox; the page is our own.
    browser = await puppeteer.launch({ executablePath: executablePath!, args: ["--no-sandbox"] });
  });
  after(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Opens a page and returns what it wrote to the console and what it asked for. */
  async function open(source: string): Promise<{ page: Page; messages: string[]; requests: string[] }> {
    const file = join(folder, "report.html");
    await writeFile(file, source);
    const page = await browser.newPage();
    const messages: string[] = [];
    const requests: string[] = [];
    page.on("console", (message) => messages.push(message.text()));
    page.on("pageerror", (error) => messages.push(String(error)));
    const url = pathToFileURL(file).href;
    page.on("request", (request) => {
      if (request.url() !== url && request.url() !== "data:,") requests.push(request.url());
    });
    await page.goto(url);
    return { page, messages, requests };
  }

  for (const [name, render] of PAGES)
    test(`${name}: no message, no request, no horizontal scroll, readable in light and dark, prints`, async () => {
      const { page, messages, requests } = await open(render());
      for (const width of [360, 860, 1_400]) {
        await page.setViewport({ width, height: 800 });
        const wide = await widthOf(page);
        assert.ok(wide <= width, `${wide} px wide in a window of ${width} px`);
      }
      for (const scheme of ["light", "dark"]) {
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        assert.deepEqual(await findFaint(page), [], scheme);
      }
      const pdf = await page.pdf();
      assert.equal(Buffer.from(pdf.subarray(0, 5)).toString(), "%PDF-");
      assert.ok(pdf.length > 20_000, `${pdf.length} bytes`);
      assert.deepEqual({ messages, requests }, { messages: [], requests: [] });
      await page.close();
    });

  test("the red bars are the lost updates of an unexpected violation, the amber ones those of controls", async () => {
    const report = violatedReport();
    const { page } = await open(renderPage(report, { withData: false }));
    for (const [width, scheme] of [
      [1_400, "light"],
      [1_400, "dark"],
    ] as const) {
      await page.setViewport({ width, height: 800 });
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
      const found = await countBars(page);
      const staleOf = (expected: boolean) =>
        report.runs
          .filter(({ agreement }) => (agreement === "expected") === expected)
          .flatMap(({ drawing }) => drawing?.windows ?? [])
          .flatMap(({ operations }) => operations.filter(({ stale }) => stale)).length;
      assert.ok(staleOf(false) > 0);
      assert.deepEqual(found, { red: staleOf(false), amber: staleOf(true) }, scheme);
    }
    await page.close();
  });

  test("the checks of this file find what they look for", async () => {
    const bad =
      '<!doctype html><p style="color:#999;width:900px">x</p><img src="http://127.0.0.1:9/x.png"><script>console.log("hi")</script>';
    const { page, messages, requests } = await open(bad);
    await page.setViewport({ width: 360, height: 800 });
    assert.ok((await widthOf(page)) > 360);
    assert.equal((await findFaint(page)).length, 1);
    assert.ok(messages.includes("hi") && requests.length === 1);
    await page.close();
  });
});

// --- Run in the browser, and therefore text: the types of a browser are not those of Node ---------------------------

const widthOf = (page: Page) => page.evaluate("document.documentElement.scrollWidth") as Promise<number>;

/** Texts whose contrast with the ground behind them is below 4.5:1 (WCAG 2, AA), with their ratio. */
const findFaint = (page: Page) =>
  page.evaluate(String.raw`(() => {
    const channels = (color) => (/rgba?\(([^)]+)\)/.exec(color)?.[1] ?? "0,0,0,0").split(",").map(Number);
    const luminance = (color) => {
      const [r, g, b] = channels(color).map((value) => {
        const share = value / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const groundOf = (element) => {
      for (let at = element; at !== null; at = at.parentElement) {
        const ground = getComputedStyle(at).backgroundColor;
        if ((channels(ground)[3] ?? 1) > 0) return ground;
      }
      return "rgb(255, 255, 255)";
    };
    return [...document.querySelectorAll("body *")]
      .filter((element) => !["SCRIPT", "title"].includes(element.tagName))
      .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()))
      .flatMap((element) => {
        const style = getComputedStyle(element);
        const own = luminance(element instanceof SVGElement ? style.fill : style.color);
        const ground = luminance(groundOf(element));
        const ratio = (Math.max(own, ground) + 0.05) / (Math.min(own, ground) + 0.05);
        return ratio < 4.5 ? [element.textContent.slice(0, 40) + ": " + ratio.toFixed(2)] : [];
      });
  })()`) as Promise<string[]>;

/** Bars that are clearly red or amber, by the color that the browser paints. */
const countBars = (page: Page) =>
  page.evaluate(String.raw`(() => {
    const strong = [...document.querySelectorAll("rect[data-kind]")]
      .map((bar) => /\(([^)]+)\)/.exec(getComputedStyle(bar).fill)[1].split(",").map(Number))
      .filter(([r, g, b]) => r > 180 && r - b > 90);
    const red = strong.filter(([r, g]) => g < r / 2).length;
    return { red, amber: strong.length - red };
  })()`) as Promise<{ red: number; amber: number }>;
