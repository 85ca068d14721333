import type { Report, RunReport } from "../judge/report-data.ts";
import type { Paint } from "../text/paint.ts";

/** What all sections of the text form need. */
export interface Page {
  readonly report: Report;
  readonly labels: ReadonlyMap<RunReport, string>;
  /** Length of the longest label, at most `labelWidthMax`; longer labels are wrapped. */
  readonly labelWidth: number;
  readonly paint: Paint;
  readonly width: number;
}

/** A title with lines below it. */
export const section = ({ paint }: Page, title: string, ...lines: string[]) =>
  [paint("title", title), ...lines].join("\n");

/** The largest part of the page's width that the names of runs may take. */
export const labelWidthMax = (width: number) => Math.floor(width * 0.36);
