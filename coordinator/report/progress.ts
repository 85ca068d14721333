/** Output while a report is made: one changing line on a terminal, plain lines elsewhere, or JSON lines. */
import { createLogUpdate } from "log-update";
import type { RunReport } from "../judge/report-data.ts";
import { labelOf } from "../plan/run-names.ts";
import { count, joined, oneLine, percent, perSecond, plural } from "../text/format.ts";
import { bar, padded } from "../text/layout.ts";
import { type Paint, painter } from "../text/paint.ts";
import { describeMoney, describeVerdict, moneyOf } from "./describe-run.ts";

export interface Progress {
  /** Shows the current step. Repeating the same step prints nothing. */
  step(text: string): void;
  /** Shows the progress of a run. May be called at any rate; output is limited. */
  rate(rate: Rate): void;
  /** Prints the verdict on a run. `name` is the label of the run if the strategy alone does not identify it. */
  verdict(run: RunReport, name?: string): void;
  /** Prints a line that stays on a terminal. */
  note(text: string): void;
  warn(text: string): void;
  /** Restores the terminal. May be called more than once. */
  done(): void;
}

export interface Rate {
  readonly strategy: string;
  readonly elapsedMs: number;
  readonly durationMs: number;
  readonly workers: number;
  readonly committed: number;
  readonly committedPerSecond: number;
  readonly rejectedPerSecond: number;
  /** Number of lost workers. */
  readonly lost: number;
}

export interface ProgressOptions {
  readonly stream: NodeJS.WritableStream & { readonly columns?: number };
  readonly isTty: boolean;
  readonly format: "text" | "json" | "none";
  /** Whether to use colors on a terminal; true by default. Output to anything else has no colors. */
  readonly color?: boolean;
  /** Milliseconds of a monotonic clock; tests pass their own. */
  readonly now?: () => number;
}

export function createProgress(options: ProgressOptions): Progress {
  if (options.format === "none") return { step() {}, rate() {}, verdict() {}, note() {}, warn() {}, done() {} };
  if (options.format === "json") return jsonProgress(options);
  return options.isTty ? terminalProgress(options) : plainProgress(options);
}

// --- A terminal -----------------------------------------------------------------------------------------------------

const SPINNER = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 120;
/** A longer wait shows its seconds, so that it does not look stuck. */
const LONG_WAIT_MS = 3000;

/** One line that changes in place, with verdicts and warnings above it. */
function terminalProgress({ stream, color = true, now = () => performance.now() }: ProgressOptions): Progress {
  const paint = painter(color);
  const live = createLogUpdate(stream, { showCursor: true });
  let shown: { text: string; since: number; rate?: Rate } | undefined;
  let frame = 0;
  let timer: NodeJS.Timeout | undefined;

  const draw = () => {
    if (!shown) return;
    const width = (stream.columns ?? 80) - 1;
    const spinner = SPINNER[frame % SPINNER.length]!;
    if (shown.rate) {
      live(rateLine(shown.rate, spinner, width, paint));
      return;
    }
    const waited = now() - shown.since;
    const seconds = waited >= LONG_WAIT_MS ? `  ${Math.floor(waited / 1000)} s` : "";
    live(`${paint("quiet", spinner)} ${cut(shown.text, width - 2 - seconds.length)}${paint("quiet", seconds)}`);
  };
  const show = (text: string, rate?: Rate) => {
    const same = shown?.text === text;
    shown = { text, since: same ? (shown?.since ?? now()) : now(), ...(rate ? { rate } : {}) };
    timer ??= setInterval(() => {
      frame++;
      draw();
    }, FRAME_MS).unref();
    draw();
  };
  /** Prints above the changing line. */
  const stay = (line: string) => {
    live.clear();
    stream.write(`${line}\n`);
    draw();
  };

  return {
    step: (text) => show(oneLine(text)),
    rate: (rate) => show(rate.strategy, rate),
    verdict(run, name) {
      shown = undefined;
      stay(verdictLine(run, paint, name));
    },
    note: (text) => stay(oneLine(text)),
    warn: (text) => stay(`${paint("unsure", "warning:")} ${oneLine(text)}`),
    done() {
      clearInterval(timer);
      timer = undefined;
      shown = undefined;
      live.clear();
    },
  };
}

function rateLine(rate: Rate, spinner: string, width: number, paint: Paint): string {
  const share = rate.durationMs === 0 ? 1 : Math.min(1, rate.elapsedMs / rate.durationMs);
  const { seconds, numbers } = rateWords(rate);
  const head = padded(rate.strategy, STRATEGY_WIDTH);
  const cells = Math.min(24, width - head.length - seconds.length - numbers.length - 8);
  if (cells < 6) return cut(`${head}  ${seconds}  ${numbers}`, width);
  const filled = bar(share, cells);
  const rest = paint("quiet", "·".repeat(cells - filled.length));
  return `${paint("quiet", spinner)} ${paint("title", head)}  ${filled}${rest}  ${paint("quiet", seconds)}  ${numbers}`;
}

// --- Lines ----------------------------------------------------------------------------------------------------------

/** Time between two lines that differ only in their numbers. */
const REPEAT_MS = 2000;

function plainProgress({ stream, now = () => performance.now() }: ProgressOptions): Progress {
  const paint = painter(false);
  const start = now();
  const line = (text: string) => stream.write(`${clock(now() - start)}  ${text}\n`);
  const steps = steady(now);
  const rates = rarely(now);
  return {
    step(text) {
      if (steps(oneLine(text))) line(oneLine(text));
    },
    rate(rate) {
      if (!rates(rate.strategy)) return;
      const { seconds, numbers } = rateWords(rate);
      line(`${padded(rate.strategy, STRATEGY_WIDTH)}  ${seconds}  ${numbers}`);
    },
    verdict: (run, name) => line(verdictLine(run, paint, name)),
    note: (text) => line(oneLine(text)),
    warn: (text) => line(`warning: ${oneLine(text)}`),
    done() {},
  };
}

function jsonProgress({ stream, now = () => performance.now() }: ProgressOptions): Progress {
  const start = now();
  const line = (event: string, fields: object, level = "info") => {
    const elapsedMs = Math.round(now() - start);
    stream.write(`${JSON.stringify({ time: new Date().toISOString(), level, event, elapsedMs, ...fields })}\n`);
  };
  const steps = steady(now);
  const rates = rarely(now);
  return {
    step(text) {
      if (steps(text)) line("step", { text });
    },
    rate({ elapsedMs, ...rate }) {
      if (rates(rate.strategy)) line("rate", { ...rate, runElapsedMs: elapsedMs });
    },
    verdict(judged) {
      const { run, strategy, guard, data, exclusion, agreement, reasons, operations } = judged;
      const { lostUpdates, grantedMoney, lostMoney, throughput } = judged;
      const numbers = { operations, lostUpdates, grantedMoney, lostMoney, throughput };
      const level = agreement === "expected" ? "info" : "warn";
      line("verdict", { run, strategy, guard, data, exclusion, agreement, reasons, ...numbers }, level);
    },
    note: (text) => line("note", { text }),
    warn: (text) => line("warning", { text }, "warn"),
    done() {},
  };
}

/** Whether to print a text: not if it is repeated, and every 2 s if only its numbers differ (`2 ready`, `3 ready`). */
function steady(now: () => number): (text: string) => boolean {
  let last = { text: "", shape: "", at: 0 };
  return (text) => {
    const shape = text.replace(/\d+/g, "0");
    if (text === last.text || (shape === last.shape && now() - last.at < REPEAT_MS)) return false;
    last = { text, shape, at: now() };
    return true;
  };
}

/** Returns true every 2 s within a series, and false at its start, when there are no numbers yet. */
function rarely(now: () => number): (series: string) => boolean {
  let last = { series: "", at: 0 };
  return (series) => {
    const due = last.series === series && now() - last.at >= REPEAT_MS;
    if (due || last.series !== series) last = { series, at: now() };
    return due;
  };
}

// --- Words ----------------------------------------------------------------------------------------------------------

/** Columns align for the most common strategies; a longer name shifts the rest of its line. */
const STRATEGY_WIDTH = "row-lock".length;

function rateWords({ elapsedMs, durationMs, committedPerSecond, rejectedPerSecond, committed, lost }: Rate) {
  const shown = Math.min(elapsedMs, durationMs);
  return {
    seconds: `${(shown / 1000).toFixed(1)} / ${(durationMs / 1000).toFixed(1)} s`,
    numbers: [
      `${perSecond(committedPerSecond)} committed/s`,
      ...(rejectedPerSecond > 0 ? [`${perSecond(rejectedPerSecond)} rejected/s`] : []),
      `${count(committed)} so far`,
      ...(lost > 0 ? [`${plural(lost, "worker")} lost`] : []),
    ].join(", "),
  };
}

/** The result of a run in one line: `none      VIOLATED   26 %  216,332 granted, ...`. */
export function verdictLine(run: RunReport, paint: Paint, name = labelOf(run)): string {
  const { word, tone } = describeVerdict(run, "data");
  const money = moneyOf(run);
  const share = money && money.granted > 0 ? `${percent(money.arrived / money.granted).padStart(6)}  ` : "";
  const numbers =
    run.agreement === "unknown" && run.reasons.length > 0 ? oneLine(joined(run.reasons)) : share + describeMoney(run);
  const rate = run.throughput === null ? "" : paint("quiet", `  ${perSecond(run.throughput)} committed/s`);
  return `${padded(name, STRATEGY_WIDTH)}  ${paint(tone, padded(word, 8))}  ${numbers}${rate}`;
}

const cut = (text: string, width: number) =>
  text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;

function clock(elapsedMs: number): string {
  const seconds = Math.floor(elapsedMs / 1000);
  return `${String(Math.floor(seconds / 60)).padStart(2, "0")}:${String(seconds % 60).padStart(2, "0")}`;
}
