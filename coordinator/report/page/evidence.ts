/** The evidence in tables: the three counts, the checks, errors, refused probes, the environment. */

import type { Report, RunReport } from "../../judge/report-data.ts";
import { describeServers } from "../../judge/report-verdict.ts";
import { count } from "../../text/format.ts";
import type { Column } from "../../text/layout.ts";
import type { Tone } from "../../text/paint.ts";
import { countsTitle, listNotes, listTroubles, NOTES_TITLE, refusedProbes, rowAgrees } from "../describe-run.ts";
import { describeOwnLock, OWN_LOCKS_TITLE } from "../own-locks.ts";
import { TONES } from "./colors.ts";
import { type Child, el, type Markup } from "./markup.ts";

export type Labels = ReadonlyMap<RunReport, string>;

export function evidence(report: Report, labels: Labels): Markup[] {
  const name = (run: RunReport) => labels.get(run) ?? run.strategy;
  const { runs } = report;
  const troubles = runs.flatMap((run) => listTroubles(run).map(({ text }) => `${name(run)}: ${text}`));
  const notes = listNotes(runs, labels).map((note) => `${note.name}: ${note.text}`);
  const skipped = report.skipped.map(({ strategy, reason }) => `${strategy}: ${reason}`);
  const ownLocks = runs.flatMap((run) => describeOwnLock(run).map((text) => `${name(run)}: ${text}`));
  return [
    ...listed(OWN_LOCKS_TITLE, ownLocks),
    ...listed("Problems", troubles),
    ...listed(NOTES_TITLE, notes),
    ...listed("Skipped", skipped),
    ...(runs.length === 0 ? [] : counts(runs, name)),
    ...(runs.length === 0 ? [] : checks(runs, name)),
    ...errors(runs, name),
    ...probes(report),
    el("h3", {}, "Environment"),
    tableOf(
      [
        { head: "what", cell: ([key]) => key },
        { head: "value", cell: ([, value]) => value },
      ],
      Object.entries(report.environment),
    ),
  ];
}

/** `content`: what a cell holds; by default the text of its column. */
export function tableOf<Row>(
  columns: readonly Column<Row>[],
  lines: readonly Row[],
  content: (column: Column<Row>, line: Row) => Child = (column, line) => column.cell(line),
): Markup {
  const classOf = ({ align }: Column<Row>, tone: Tone = "plain") => {
    const names = [...(align === "right" ? ["number"] : []), ...(tone === "plain" ? [] : [TONES[tone]])];
    return names.length === 0 ? {} : { class: names.join(" ") };
  };
  const heads = columns.map((column) =>
    el("th", classOf(column), [column.group, column.head].filter(Boolean).join(": ")),
  );
  return el(
    "div",
    { class: "wide" },
    el(
      "table",
      {},
      el("thead", {}, el("tr", {}, heads)),
      el(
        "tbody",
        {},
        lines.map((line) =>
          el(
            "tr",
            {},
            columns.map((column) => el("td", classOf(column, column.tone?.(line)), content(column, line))),
          ),
        ),
      ),
    ),
  );
}

/** A list below a heading; nothing without items. */
export const listed = (title: string, items: readonly string[]): Child[] & Markup[] =>
  items.length === 0
    ? []
    : [
        el("h3", {}, title),
        el(
          "ul",
          {},
          items.map((item) => el("li", {}, item)),
        ),
      ];

// --- Internal helpers -----------------------------------------------------------------------------------------------

type Name = (run: RunReport) => string;

function counts(runs: readonly RunReport[], name: Name): Markup[] {
  const lines = runs.flatMap((run) => run.reconciliation.map((row) => ({ run, row })));
  return [
    el("h3", {}, countsTitle(runs)),
    el(
      "details",
      { open: lines.length <= 24 ? "" : undefined },
      el("summary", {}, `Committed operations of each worker by each count`),
      tableOf(
        [
          { head: "run", cell: ({ run }) => name(run) },
          { head: "worker", cell: ({ row }) => `worker-${row.worker}` },
          { head: "Prometheus", align: "right", cell: ({ row }) => count(row.prometheus) },
          { head: "reported by worker", align: "right", cell: ({ row }) => count(row.reported) },
          { head: "ledger", align: "right", cell: ({ row }) => count(row.ledger) },
          { head: "agree", cell: ({ row }) => (rowAgrees(row) ? "yes" : (row.lost ?? "NO")) },
        ],
        lines,
      ),
    ),
  ];
}

function checks(runs: readonly RunReport[], name: Name): Markup[] {
  const lines = runs.flatMap((run) => run.checks.map((check) => ({ run, check })));
  return [
    el("h3", {}, "The checks"),
    el(
      "details",
      {},
      el("summary", {}, "What each check found"),
      tableOf(
        [
          { head: "run", cell: ({ run }) => name(run) },
          { head: "check", cell: ({ check }) => check.check },
          { head: "status", cell: ({ check }) => check.status },
          { head: "finding", cell: ({ check }) => check.detail },
        ],
        lines,
      ),
    ),
  ];
}

function errors(runs: readonly RunReport[], name: Name): Markup[] {
  const lines = runs.flatMap((run) => run.errors.map((error) => ({ run, error })));
  if (lines.length === 0) return [];
  return [
    el("h3", {}, "Errors by class, each with one example"),
    tableOf(
      [
        { head: "run", cell: ({ run }) => name(run) },
        { head: "count", align: "right", cell: ({ error }) => count(error.count) },
        { head: "outcome", cell: ({ error }) => error.outcome },
        { head: "class", cell: ({ error }) => error.class },
        { head: "example", cell: ({ error }) => error.example },
      ],
      lines,
    ),
  ];
}

function probes(report: Report): Markup[] {
  const { acl, aclNote } = report;
  const note = aclNote === undefined ? [] : [el("p", {}, aclNote)];
  if (acl.length === 0) return note;
  const title = `${describeServers(acl)} refused ${refusedProbes(report)} of ${acl.length} forbidden attempts`;
  const others = acl.filter(({ outcome }) => outcome !== "refused");
  return [
    el("h3", {}, title),
    ...note,
    ...listed(
      "Not refused",
      others.map(({ user, attempt, answer }) => `${user}: ${attempt}: ${answer}`),
    ),
  ];
}
