import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { describe, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { createProgress, type ProgressOptions, type Rate } from "../../coordinator/report/progress.ts";
import { sampleReport, troubledReport } from "../support/sample-report.ts";

const rate = (elapsedMs: number): Rate => ({
  strategy: "redis",
  elapsedMs,
  durationMs: 5000,
  workers: 4,
  committed: 650,
  committedPerSecond: 325.2,
  rejectedPerSecond: 0,
  lost: 0,
});

describe("progress where there is no terminal", () => {
  test("has one line for each step, with the time since the start", () => {
    const { progress, lines, pass } = shown({ isTty: false, format: "text" });
    progress.step("starting MariaDB");
    pass(62_500);
    progress.step("starting MariaDB");
    progress.step("starting Redis");
    assert.deepEqual(lines(), ["00:00  starting MariaDB", "01:02  starting Redis"]);
  });

  test("does not repeat itself, and counts only every few seconds", () => {
    const { progress, lines, pass } = shown({ isTty: false, format: "text" });
    for (let ready = 0; ready < 4; ready++) {
      progress.step(`redis: waiting for 4 workers (${ready} ready)`);
      progress.step(`redis: waiting for 4 workers (${ready} ready)`);
      pass(700);
    }
    assert.deepEqual(lines(), [
      "00:00  redis: waiting for 4 workers (0 ready)",
      "00:02  redis: waiting for 4 workers (3 ready)",
    ]);
  });

  test("has a line about a run every two seconds, none at its start", () => {
    const { progress, lines, pass } = shown({ isTty: false, format: "text" });
    progress.rate({ ...rate(0), strategy: "none" });
    pass(10_000);
    for (let elapsed = 0; elapsed <= 5000; elapsed += 250) {
      progress.rate(rate(elapsed));
      pass(250);
    }
    assert.deepEqual(lines(), [
      "00:12  redis     2.0 / 5.0 s  325 committed/s, 650 so far",
      "00:14  redis     4.0 / 5.0 s  325 committed/s, 650 so far",
    ]);
  });

  test("has one line for a verdict and never a color", () => {
    const { progress, lines, raw } = shown({ isTty: false, format: "text", color: true });
    for (const run of [...sampleReport().runs.slice(0, 3), troubledReport().runs[1]!]) progress.verdict(run);
    progress.warn("Prometheus\ndid not answer");
    progress.done();
    assert.deepEqual(lines(), [
      "00:00  none      VIOLATED    26 %  216,332 granted, 55,739 arrived, 3,107 updates lost  860 committed/s",
      "00:00  memory    VIOLATED    28 %  207,175 granted, 57,695 arrived, 2,968 updates lost  822 committed/s",
      "00:00  redis     HOLDS      100 %  82,600 granted, all arrived  329 committed/s",
      "00:00  redis     UNKNOWN   worker-2 was lost: killed by SIGKILL",
      "00:00  warning: Prometheus did not answer",
    ]);
    assert.ok(!raw().includes("\u001b"));
  });

  test("is silent where nothing is wanted", () => {
    const { progress, raw } = shown({ isTty: true, format: "none" });
    progress.step("a");
    progress.rate(rate(1));
    progress.verdict(sampleReport().runs[0]!);
    progress.warn("b");
    progress.done();
    assert.equal(raw(), "");
  });
});

describe("progress as JSON", () => {
  test("has one object a line", () => {
    const { progress, lines, pass } = shown({ isTty: true, format: "json" });
    progress.step("starting MariaDB");
    progress.rate(rate(0));
    pass(2000);
    progress.rate(rate(2000));
    progress.verdict(sampleReport().runs[2]!);
    progress.verdict(troubledReport().runs[1]!);
    progress.warn("slow\nserver");
    const objects = lines().map((line) => JSON.parse(line));
    assert.deepEqual(
      objects.map(({ event, level, elapsedMs }) => [event, level, elapsedMs]),
      [
        ["step", "info", 0],
        ["rate", "info", 2000],
        ["verdict", "info", 2000],
        ["verdict", "warn", 2000],
        ["warning", "warn", 2000],
      ],
    );
    assert.equal(objects[1].runElapsedMs, 2000);
    assert.deepEqual(objects[2].data, { value: "holds", operations: 1652, rateBelow: 3 / 1652 });
    assert.equal(objects[3].operations, null);
  });
});

describe("progress on a terminal", () => {
  test("leaves verdicts and warnings behind, and nothing else", () => {
    const { progress, screen } = shown({ isTty: true, format: "text" });
    progress.step("starting MariaDB");
    progress.step("redis: waiting for 4 workers (2 ready)");
    progress.rate(rate(2500));
    progress.warn("Prometheus did not answer");
    progress.verdict(sampleReport().runs[2]!);
    progress.step("row-lock: waiting for 4 workers (0 ready)");
    progress.done();
    progress.done();
    assert.deepEqual(screen(), [
      "warning: Prometheus did not answer",
      "redis     HOLDS      100 %  82,600 granted, all arrived  329 committed/s",
    ]);
  });

  test("shows one living line that fits, without the time of day", () => {
    for (const columns of [40, 80, 100]) {
      const { progress, screen } = shown({ isTty: true, format: "text" }, columns);
      progress.step(`redis: waiting for 4 workers (0 ready); worker-0: ImagePullBackOff: ${"x".repeat(200)}`);
      assert.equal(screen().length, 1);
      assert.ok(screen()[0]!.length < columns && screen()[0]!.endsWith("…"), screen()[0]);
      progress.rate({ ...rate(2500), rejectedPerSecond: 900, lost: 1 });
      assert.equal(screen().length, 1);
      assert.ok(screen()[0]!.length < columns, screen()[0]);
      if (columns > 80)
        assert.match(
          screen()[0]!,
          /redis {5}━+╸?·+ {2}2\.5 \/ 5\.0 s {2}325 committed\/s, 900 rejected\/s, 650 so far, 1 worker lost$/,
        );
      progress.done();
      assert.deepEqual(screen(), []);
    }
  });

  test("shows how long a wait takes already, once it is long", () => {
    const { progress, screen, pass } = shown({ isTty: true, format: "text" });
    progress.step("starting MariaDB");
    assert.match(screen()[0]!, /starting MariaDB$/);
    pass(7000);
    progress.step("starting MariaDB");
    assert.match(screen()[0]!, /starting MariaDB {2}7 s$/);
    progress.done();
  });

  test("has no colors where they are not wanted", () => {
    const { progress, raw } = shown({ isTty: true, format: "text", color: false });
    progress.verdict(sampleReport().runs[0]!);
    progress.done();
    // biome-ignore lint/suspicious/noControlCharactersInRegex: SGR is what sets colors.
    assert.doesNotMatch(raw(), /\u001b\[[\d;]*m/);
  });
});

/** A progress display on a recording stream, with a manual clock. */
function shown(options: Omit<ProgressOptions, "stream" | "now">, columns = 100) {
  let raw = "";
  let time = 5;
  const stream = Object.assign(
    new Writable({
      write(chunk, _encoding, done) {
        raw += chunk;
        done();
      },
    }),
    { columns, rows: 24, isTTY: options.isTty },
  );
  const progress = createProgress({ ...options, stream, now: () => time });
  return {
    progress,
    pass(ms: number) {
      time += ms;
    },
    raw: () => raw,
    lines: () => raw.split("\n").slice(0, -1),
    screen: () => screenOf(raw),
  };
}

/** Returns what a terminal shows after this output. Supports only the sequences in use and rejects any other. */
function screenOf(raw: string): string[] {
  const lines: string[] = [""];
  let row = 0;
  let column = 0;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: this is a terminal.
  for (const [token] of raw.matchAll(/\u001b\[[?\d;]*[A-Za-z]|\n|[^\u001b\n]+/g)) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: this is a terminal.
    const [, digits = "", letter] = /^\u001b\[\??([\d;]*)([A-Za-z])$/.exec(token) ?? [];
    if (token === "\n") {
      row++;
      column = 0;
      lines[row] ??= "";
    } else if (letter === undefined) {
      lines[row] = lines[row]!.padEnd(column).slice(0, column) + token + lines[row]!.slice(column + token.length);
      column += token.length;
    } else if (letter === "A") row -= Number(digits || 1);
    else if (letter === "B") row += Number(digits || 1);
    else if (letter === "G") column = Number(digits || 1) - 1;
    else if (letter === "K") lines[row] = digits === "2" ? "" : lines[row]!.slice(0, column);
    else if (letter === "J") lines.splice(row + 1, lines.length, ...[]);
    else assert.ok(letter === "m" || letter === "h" || letter === "l", `unknown sequence ${JSON.stringify(token)}`);
  }
  return lines.map(stripVTControlCharacters).filter((line) => line.trim() !== "");
}
