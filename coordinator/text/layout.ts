/** Tables and paragraphs that fit a given width. Knows nothing of reports. */
import { stripVTControlCharacters } from "node:util";
import Table from "cli-table3";
import { NO_DATA } from "./format.ts";
import type { Paint, Tone } from "./paint.ts";

export interface Column<Row> {
  /** May take several lines. */
  readonly head: string;
  /** Neighboring columns with the same group share a heading and stay in the same table. */
  readonly group?: string;
  readonly align?: "left" | "right";
  cell(row: Row): string;
  tone?(row: Row): Tone;
}

/**
 * One table, or several below each other if the columns need more than `width`. Each repeats the first column, so that
 * every line has its name.
 */
export function table<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  { width, paint, indent = "  " }: { width: number; paint: Paint; indent?: string },
): string {
  return fitting(columns, rows, width - indent.length)
    .map((part) => draw(part, rows, paint))
    .map((text) => text.replace(/^/gm, indent).replace(/[ ]+$/gm, ""))
    .join("\n\n");
}

/**
 * Wraps the words to `width`. Lines after the first are indented by the width of the lead. A word longer than a line is
 * broken. `tone` colors the text, not the lead.
 */
export function paragraph(
  lead: string,
  text: string,
  { width, paint, tone = "plain" }: { width: number; paint: Paint; tone?: Tone },
): string {
  const indent = " ".repeat(stripVTControlCharacters(lead).length);
  return wrap(text, Math.max(20, width - indent.length))
    .map((line, index) => (index === 0 ? lead : indent) + paint(tone, line))
    .join("\n");
}

/**
 * A label in a column of `labelWidth`, between `before` and `after`, with the text to the right. A longer label is
 * wrapped in its column.
 */
export function nextTo(
  { before, label, labelWidth, after }: { before: string; label: string; labelWidth: number; after: string },
  text: string,
  { width, paint, tone = "plain" }: { width: number; paint: Paint; tone?: Tone },
): string {
  const [left, right] = [before, after].map((part) => stripVTControlCharacters(part).length) as [number, number];
  const names = wrap(label, labelWidth);
  const words = wrap(text, Math.max(20, width - left - labelWidth - right)).map((line) => paint(tone, line));
  return nextToLines({ before, names, labelWidth, after }, words);
}

/** Like {@link nextTo}, with label and text already split into lines. */
export function nextToLines(
  { before, names, labelWidth, after }: { before: string; names: readonly string[]; labelWidth: number; after: string },
  lines: readonly string[],
): string {
  const blank = (part: string) => " ".repeat(stripVTControlCharacters(part).length);
  return Array.from({ length: Math.max(names.length, lines.length) }, (_, index) => {
    const name = padded(names[index] ?? "", labelWidth);
    const lead = index === 0 ? before + name + after : blank(before) + name + blank(after);
    return (lead + (lines[index] ?? "")).trimEnd();
  }).join("\n");
}

/** Items separated by dots; a line is broken between items, and inside one only if it is longer than a line. */
export function flow(lead: string, items: readonly string[], options: Parameters<typeof paragraph>[2]): string {
  const text = items.map((item) => item.replaceAll(" ", UNBROKEN)).join(" · ");
  return paragraph(lead, text, options).replaceAll(UNBROKEN, " ");
}

const UNBROKEN = "\u00a0";

/** The text, padded with spaces on the right. */
export const padded = (text: string, width: number) => text + " ".repeat(Math.max(0, width - text.length));

/**
 * Draws `share` of `width` cells as a line, in steps of half a cell. A share above 0 shows at least half a cell, and a
 * share below 1 leaves at least half a cell. It is a line because blocks in adjacent rows would merge.
 */
export function bar(share: number, width: number): string {
  const inner = Math.min(Math.max(share, 0), 1);
  const least = inner > 0 ? 1 : 0;
  const most = inner < 1 ? width * 2 - 1 : width * 2;
  const halves = Math.min(Math.max(Math.round(inner * width * 2), least), most);
  return "━".repeat(Math.floor(halves / 2)) + (halves % 2 === 1 ? "╸" : "");
}

/** Splits the text into lines of at most `width`; a longer word is broken. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (let word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = "";
    }
    while (word.length > width) {
      lines.push(word.slice(0, width));
      word = word.slice(width);
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

const GAP = 2;

/** Distributes the columns over tables from left to right, keeping groups whole. */
function fitting<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width: number): Column<Row>[][] {
  const first = columns[0]!;
  const parts: Column<Row>[][] = [];
  let room = 0;
  for (const group of groupsOf(columns.slice(1))) {
    const present = rows.filter((row) => !isMissing(group, row));
    const columnsNeed = group.reduce((sum, column) => sum + GAP + widthOf(column, present), 0);
    const needed = Math.max(columnsNeed, GAP + groupHead(group).length);
    if (parts.length === 0 || needed > room) {
      parts.push([first]);
      room = width - widthOf(first, rows);
    }
    parts.at(-1)?.push(...group);
    room -= needed;
  }
  return parts;
}

function groupsOf<Row>(columns: readonly Column<Row>[]): Column<Row>[][] {
  const groups: Column<Row>[][] = [];
  for (const column of columns) {
    const group = groups.at(-1);
    if (group && column.group !== undefined && group[0]?.group === column.group) group.push(column);
    else groups.push([column]);
  }
  return groups;
}

function widthOf<Row>(column: Column<Row>, rows: readonly Row[]): number {
  const lines = [column.head, ...rows.map((row) => column.cell(row))].flatMap((text) => text.split("\n"));
  return Math.max(...lines.map((line) => line.length));
}

function draw<Row>(columns: readonly Column<Row>[], rows: readonly Row[], paint: Paint): string {
  const drawn = new Table({
    chars: BORDERLESS,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 1 },
    colAligns: columns.map((column) => column.align ?? "left"),
  });
  const groups = groupsOf(columns);
  const quiet = (text: string) => text.replace(/^.+$/gm, (line) => paint("quiet", line));
  if (columns.some((column) => column.group)) {
    drawn.push(groups.map((group) => ({ content: quiet(groupHead(group)), colSpan: group.length, hAlign: "left" })));
  }
  drawn.push(columns.map((column) => ({ content: quiet(column.head), vAlign: "bottom" })));
  for (const [index, row] of rows.entries()) {
    drawn.push(
      groups
        .flatMap((group) => cellsOf(group, row, paint))
        .map((cell) => ({ ...cell, chars: index === 0 ? RULE : {} })),
    );
  }
  // Joins the rule into one piece of one color, without the cell below the padding of the last column.
  return drawn.toString().replace(/─+/g, (rule) => paint("quiet", rule.slice(1)));
}

const groupHead = <Row>(group: readonly Column<Row>[]) => group[0]?.group ?? "";

/** The cells of a group; if all of them are missing, one cell that spans the group. */
function cellsOf<Row>(group: readonly Column<Row>[], row: Row, paint: Paint) {
  if (isMissing(group, row)) {
    return [{ content: paint("quiet", NO_DATA), colSpan: group.length, hAlign: "center" as const }];
  }
  return group.map((column) => {
    const text = column.cell(row);
    return { content: paint(text === NO_DATA ? "quiet" : (column.tone?.(row) ?? "plain"), text) };
  });
}

const isMissing = <Row>(group: readonly Column<Row>[], row: Row) =>
  group.length > 1 && group.every((column) => column.cell(row) === NO_DATA);

const BORDERLESS = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  right: "",
  "right-mid": "",
  mid: "",
  "mid-mid": "",
  middle: " ",
};

/** Draws the rule above the first row only. */
const RULE = { mid: "─", "mid-mid": "─" };
