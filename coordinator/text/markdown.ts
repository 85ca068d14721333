/** Lists and tables of GitHub-flavored Markdown. Knows nothing of reports. */
import { markdownTable } from "markdown-table";
import { oneLine } from "./format.ts";
import type { Column } from "./layout.ts";

export const bullets = (items: readonly string[]) => items.map((item) => `- ${escaped(item)}`).join("\n");

/** Puts the group of a column before its heading, because a Markdown table has one line of headings. */
export function tableOf<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const heads = columns.map(({ group, head }) => [...(group ? [group] : []), head].join(": ").replaceAll("\n", " "));
  return markdownTable([heads, ...rows.map((row) => columns.map((column) => escaped(column.cell(row))))], {
    align: columns.map((column) => (column.align === "right" ? "r" : "l")),
  });
}

/** Escapes foreign text, so that it makes no table cell, tag or link. The report's own `**` stays bold. */
export const escaped = (text: string) => oneLine(text).replace(/[\\|<>`_[\]]/g, "\\$&");
