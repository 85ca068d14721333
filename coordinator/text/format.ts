/** How numbers, names and foreign text are written in every form of the report. */
import { stripVTControlCharacters } from "node:util";

/** Printed wherever a number is missing: a zero would be a claim. */
export const NO_DATA = "no data";

export const count = (value: number | null | undefined) =>
  value === null || value === undefined ? NO_DATA : value.toLocaleString("en-US");

/** Seconds as milliseconds with three significant digits, without the unit. */
export const milliseconds = (seconds: number | null | undefined) =>
  seconds === null || seconds === undefined ? NO_DATA : threeDigits(seconds * 1000);

export const perSecond = (value: number | null | undefined) =>
  value === null || value === undefined ? NO_DATA : threeDigits(value);

/** A share of a whole. Only exactly 0 prints as 0 %, and only exactly 1 as 100 %. */
export function percent(share: number): string {
  const value = share * 100;
  const rounded = Math.round(value);
  if (rounded === 100 && value !== 100) return `${(value < 100 ? Math.floor : Math.ceil)(value * 10) / 10} %`;
  if (Math.abs(value) < 1 && value !== 0) return `${Number(value.toPrecision(2))} %`;
  return `${count(rounded)} %`;
}

/** An upper bound on a share, rounded up: a smaller bound would claim more than was shown. */
export function atMost(share: number): string {
  const value = share * 100;
  if (value <= 0) return percent(share);
  const unit = 10 ** (Math.floor(Math.log10(value)) - 1);
  // The rounding error of a quotient must not add a digit.
  return `${Number((Math.ceil(value / unit - 1e-9) * unit).toPrecision(2))} %`;
}

/**
 * A share rounded down to a whole percent, for comparison with a share that is required: it never looks larger than it
 * is.
 */
export const atLeast = (share: number): string => `${Math.floor(share * 100)} %`;

/** `250 ms`, `5 s`. */
export const duration = (ms: number) => (ms < 1000 ? `${count(ms)} ms` : `${count(ms / 1000)} s`);

export const decimal = (value: number | null | undefined) =>
  value === null || value === undefined ? NO_DATA : value.toFixed(2);

/** The name of a strategy, a user or the like inside a sentence. */
export const quoted = (name: string) => `"${name}"`;

/** `a, b and c`. */
export const list = (items: readonly string[]) => new Intl.ListFormat("en-GB").format(items);

/** Reasons, or other sentences without a full stop, in one line. */
export const joined = (reasons: readonly string[]) => reasons.join("; ");

export const plural = (value: number, one: string, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/** `3 of 1,652 writes`. */
export const outOf = (part: number, whole: number, one: string) => `${count(part)} of ${plural(whole, one)}`;

/**
 * Puts foreign text (a log, an error, a server's answer) on one line, without escape sequences and control characters:
 * it must not move the cursor, change the colors or break the XML of a report.
 */
export function oneLine(text: string): string {
  const visible = stripVTControlCharacters(text).replace(CONTROL, " ").toWellFormed();
  return visible.replace(/\s+/g, " ").trim();
}

/** Control characters of both blocks, and characters that XML 1.0 forbids. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\ufffe\uffff]/g;

function threeDigits(value: number): string {
  if (value >= 99.95) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(value >= 9.995 ? 1 : 2);
}
