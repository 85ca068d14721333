import type { Report, RunReport } from "../judge/report-data.ts";
import type { Paint } from "../text/paint.ts";

/** What the sections of the report have in common. */
export interface Page {
  readonly report: Report;
  readonly labels: ReadonlyMap<RunReport, string>;
  /** Length of the longest label, or what there is room for; longer ones are wrapped. */
  readonly labelWidth: number;
  readonly paint: Paint;
  readonly width: number;
}

/** A title and, below it, what it announces. */
export const section = ({ paint }: Page, title: string, ...lines: string[]) =>
  [paint("title", title), ...lines].join("\n");

/** How much of a page the names of the runs may take. */
export const mostOf = (width: number) => Math.floor(width * 0.36);
