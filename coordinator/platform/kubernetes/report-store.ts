import { PatchStrategy, setHeaderOptions } from "@kubernetes/client-node";
import * as z from "zod";
import { EXIT, Report, RunReport } from "../../judge/report-data.ts";
import type { ReportFiles } from "../../report/files.ts";
import { ask, find, type KubernetesApi } from "./api.ts";
import { type KubernetesTarget, REPORT_LABEL, reportIdOf, VERDICT_LABEL } from "./settings.ts";
import { packPage, shrinkFiles, shrinkRuns, type TextFiles } from "./shrink-report.ts";

/** What a coordinator saves for its replacement and for `verdict`: the key `state.json` of the ConfigMap. */
export const State = z.strictObject({
  schema: z.literal("holdfast/state/v2"),
  jobUid: z.string(),
  report: z.string(),
  /** Finished runs; absent once report.json holds them. */
  runs: z.array(RunReport).optional(),
  /** The current run. */
  current: z.string().optional(),
  /** Runs that were running when a coordinator of this Job ended. */
  interrupted: z.array(z.string()).default([]),
  verdict: z
    .strictObject({
      exitCode: z.int(),
      line: z.string(),
      /** False for a partial report, written because a signal ended the coordinator early. */
      final: z.boolean(),
    })
    .optional(),
});
export type State = z.infer<typeof State>;

export interface Stored {
  readonly state: State | undefined;
  readonly files: Readonly<Partial<Record<string, string>>>;
}

/** The ConfigMap of a report. It exists already, empty, and only the coordinators of its release write it. */
export function createReportStore(api: KubernetesApi, target: KubernetesTarget) {
  const name = target.HOLDFAST_REPORT_CONFIGMAP;
  const namespace = target.HOLDFAST_NAMESPACE;

  /** Sends one merge patch: a key with `null` is removed, a key that is not named stays. */
  const patch = (body: Patch) =>
    api.core.patchNamespacedConfigMap(
      { name, namespace, body },
      setHeaderOptions("Content-Type", PatchStrategy.MergePatch),
    );
  const write = (body: Patch, patienceMs?: number) => ask(`write ConfigMap ${name}`, () => patch(body), patienceMs);

  return {
    name,

    /** Returns all that is stored; `undefined` where there is no such ConfigMap. */
    async read(): Promise<Stored | undefined> {
      const map = await find(`read ConfigMap ${name}`, () => api.core.readNamespacedConfigMap({ name, namespace }));
      if (map === undefined) return undefined;
      return { files: map.data ?? {}, state: parseState(map.data ?? {}) };
    },

    /** Saves the finished runs, the one that begins now, and those that will never be finished. */
    async saveProgress(
      jobUid: string,
      runs: readonly RunReport[],
      current: string | undefined,
      interrupted: readonly string[] = [],
    ): Promise<void> {
      const running = current === undefined ? {} : { current };
      const state = { ...newState(jobUid, interrupted), runs: [...shrinkRuns(runs)], ...running };
      await write({ data: { "state.json": JSON.stringify(state) } });
    },

    /** Saves the report and its verdict in one patch, so that a reader sees both or neither. Returns the files that did not fit. */
    async saveReport(
      jobUid: string,
      files: ReportFiles,
      verdict: NonNullable<State["verdict"]>,
      interrupted: readonly string[] = [],
    ): Promise<string[]> {
      const shrunk = shrinkFiles(files);
      const page = packPage(files);
      const runs = shrunk["report.json"] === undefined ? { runs: [] } : {};
      const data = Object.fromEntries(Object.entries(shrunk).map(([key, text]) => [key, text ?? null]));
      // Without this write the report is lost, so it waits longer for an API server that is being upgraded.
      await write(
        {
          metadata: { labels: { [REPORT_LABEL]: reportIdOf(jobUid), [VERDICT_LABEL]: verdictName(verdict.exitCode) } },
          data: { ...data, "state.json": JSON.stringify({ ...newState(jobUid, interrupted), ...runs, verdict }) },
          binaryData: { [PAGE_KEY]: page?.toString("base64") ?? null },
        },
        20_000,
      );
      const cut = (Object.keys(shrunk) as (keyof TextFiles)[]).filter((key) => shrunk[key] !== files[key]);
      return page === undefined ? [...cut, "report.html"] : cut;
    },

    /** Empties the ConfigMap; does nothing where there is none. */
    async clear(): Promise<void> {
      await find(`empty ConfigMap ${name}`, () =>
        patch({ metadata: { labels: { [REPORT_LABEL]: null, [VERDICT_LABEL]: null } }, data: null, binaryData: null }),
      );
    },
  };
}

/** The page of the report in `binaryData`, compressed with gzip. */
export const PAGE_KEY = "report.html.gz";

interface Patch {
  readonly metadata?: { readonly labels: Readonly<Record<string, string | null>> };
  readonly data: Readonly<Record<string, string | null>> | null;
  readonly binaryData?: Readonly<Record<string, string | null>> | null;
}

export type ReportStore = ReturnType<typeof createReportStore>;

/** Returns the finished runs from the state, or from report.json once it holds them. */
export function runsOf({ state, files }: Stored): readonly RunReport[] {
  if (state?.runs !== undefined) return state.runs;
  const json = files["report.json"];
  return json === undefined ? [] : Report.parse(JSON.parse(json)).runs;
}

const verdictName = (exitCode: number) => Object.entries(EXIT).find(([, code]) => code === exitCode)?.[0] ?? "unknown";

const newState = (jobUid: string, interrupted: readonly string[]): State => ({
  schema: "holdfast/state/v2",
  jobUid,
  report: reportIdOf(jobUid),
  interrupted: [...interrupted],
});

/** Data that this version cannot parse is treated as no state at all. */
function parseState(data: Readonly<Record<string, string>>): State | undefined {
  try {
    return State.parse(JSON.parse(data["state.json"] ?? ""));
  } catch {
    return undefined;
  }
}
