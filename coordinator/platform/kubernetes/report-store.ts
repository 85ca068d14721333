import { PatchStrategy, setHeaderOptions } from "@kubernetes/client-node";
import * as z from "zod";
import { Report, RunReport } from "../../judge/report-data.ts";
import type { ReportFiles } from "../../report/files.ts";
import { ask, find, type KubernetesApi } from "./api.ts";
import { type KubernetesTarget, reportIdOf } from "./settings.ts";
import { shrinkFiles, shrinkRuns } from "./shrink-report.ts";

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

/** The ConfigMap of the report. The chart creates it empty, and only this coordinator writes it. */
export function createReportStore(api: KubernetesApi, target: KubernetesTarget) {
  const name = target.HOLDFAST_REPORT_CONFIGMAP;
  const namespace = target.HOLDFAST_NAMESPACE;

  /** Sends one merge patch: a key with `null` is removed, a key that is not named stays. */
  const patch = (data: Record<string, string | null> | null) =>
    api.core.patchNamespacedConfigMap(
      { name, namespace, body: { data } },
      setHeaderOptions("Content-Type", PatchStrategy.MergePatch),
    );
  const write = (data: Record<string, string | null>, patienceMs?: number) =>
    ask(`write ConfigMap ${name}`, () => patch(data), patienceMs);

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
      await write({ "state.json": JSON.stringify(state) });
    },

    /** Saves the report and its verdict in one patch, so that a reader sees both or neither. Returns the files that did not fit. */
    async saveReport(
      jobUid: string,
      files: ReportFiles,
      verdict: NonNullable<State["verdict"]>,
      interrupted: readonly string[] = [],
    ): Promise<string[]> {
      const shrunk = shrinkFiles(files);
      const runs = shrunk["report.json"] === undefined ? { runs: [] } : {};
      const data = Object.fromEntries(Object.entries(shrunk).map(([key, text]) => [key, text ?? null]));
      // Without this write the report is lost, so it waits longer for an API server that is being upgraded.
      await write(
        { ...data, "state.json": JSON.stringify({ ...newState(jobUid, interrupted), ...runs, verdict }) },
        20_000,
      );
      return (Object.keys(files) as (keyof ReportFiles)[]).filter((key) => shrunk[key] !== files[key]);
    },

    /** Empties the ConfigMap; does nothing where there is none. */
    async clear(): Promise<void> {
      await find(`empty ConfigMap ${name}`, () => patch(null));
    },
  };
}

export type ReportStore = ReturnType<typeof createReportStore>;

/** Returns the finished runs from the state, or from report.json once it holds them. */
export function runsOf({ state, files }: Stored): readonly RunReport[] {
  if (state?.runs !== undefined) return state.runs;
  const json = files["report.json"];
  return json === undefined ? [] : Report.parse(JSON.parse(json)).runs;
}

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
