/** How numbers and foreign text are written in every form of the report. */
import { stripVTControlCharacters } from "node:util";

/** Printed wherever a number is missing: a zero would be a claim. */
export const NO_DATA = "no data";

export const count = (value: number | null | undefined) =>
  value === null || value === undefined ? NO_DATA : value.toLocaleString("en-US");

/** Seconds as milliseconds with three significant digits and without the unit, which stands in the heading. */
export const milliseconds = (seconds: number | null | undefined) =>
  seconds === null || seconds === undefined ? NO_DATA : threeDigits(seconds * 1000);

export const perSecond = (value: number | null | undefined) =>
  value === null || value === undefined ? NO_DATA : threeDigits(value);

/** A share of a whole. Only 0 itself prints as 0 % and only the whole itself as 100 %. */
export function percent(share: number): string {
  const value = share * 100;
  const rounded = Math.round(value);
  if (rounded === 100 && value !== 100) return `${(value < 100 ? Math.floor : Math.ceil)(value * 10) / 10} %`;
  if (Math.abs(value) < 1 && value !== 0) return `${Number(value.toPrecision(2))} %`;
  return `${count(rounded)} %`;
}

/** A bound on a share: rounded up, because a smaller one would claim more than was shown. */
export function atMost(share: number): string {
  const value = share * 100;
  if (value <= 0) return percent(share);
  const unit = 10 ** (Math.floor(Math.log10(value)) - 1);
  // What floating point adds to a quotient is not worth a digit.
  return `${Number((Math.ceil(value / unit - 1e-9) * unit).toPrecision(2))} %`;
}

/** `250 ms`, `5 s`. */
export const duration = (ms: number) => (ms < 1000 ? `${count(ms)} ms` : `${count(ms / 1000)} s`);

export const decimal = (value: number | null | undefined) =>
  value === null || value === undefined ? NO_DATA : value.toFixed(2);

/** `a, b and c`. */
export const list = (items: readonly string[]) => new Intl.ListFormat("en-GB").format(items);

/** Reasons, or other sentences without a full stop, in one line. */
export const joined = (reasons: readonly string[]) => reasons.join("; ");

export const plural = (value: number, one: string, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/**
 * Text that others wrote (a log, an error, a server's answer) on one line, without escape sequences and control
 * characters: it must not be able to move the cursor, change the colors or break the XML of a report.
 */
export function oneLine(text: string): string {
  const visible = stripVTControlCharacters(text).replace(CONTROL, " ").toWellFormed();
  return visible.replace(/\s+/g, " ").trim();
}

/** Control characters of both blocks, and what may not stand in XML 1.0. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\ufffe\uffff]/g;

function threeDigits(value: number): string {
  if (value >= 99.95) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(value >= 9.995 ? 1 : 2);
}
