import { PatchStrategy, setHeaderOptions } from "@kubernetes/client-node";
import * as z from "zod";
import { Report, RunReport } from "../../judge/report-data.ts";
import { ask, find, type KubernetesApi } from "./api.ts";
import { type KubernetesTarget, reportIdOf } from "./settings.ts";
import { type ReportFiles, shrinkFiles, shrinkRuns } from "./shrink-report.ts";

/** What a coordinator keeps for the one that replaces it, and for `verdict`: the key `state.json` of the ConfigMap. */
export const State = z.strictObject({
  schema: z.literal("holdfast/state/v1"),
  jobUid: z.string(),
  report: z.string(),
  /** Finished runs; absent once report.json holds them. */
  runs: z.array(RunReport).optional(),
  /** The run that is on. */
  current: z.string().optional(),
  /** Runs that were on when a coordinator of this Job ended. */
  interrupted: z.array(z.string()).default([]),
  verdict: z
    .strictObject({
      exitCode: z.int(),
      line: z.string(),
      /** False for a report written because the coordinator was told to end before it was through. */
      final: z.boolean(),
    })
    .optional(),
});
export type State = z.infer<typeof State>;

export interface Stored {
  readonly state: State | undefined;
  readonly files: Readonly<Partial<Record<string, string>>>;
}

/** The report's ConfigMap. The chart creates it empty; its data are this coordinator's alone. */
export function createReportStore(api: KubernetesApi, target: KubernetesTarget) {
  const name = target.HOLDFAST_REPORT_CONFIGMAP;
  const namespace = target.HOLDFAST_NAMESPACE;

  /** One merge patch: a key with `null` goes away, a key that is not named stays. */
  const patch = (data: Record<string, string | null> | null) =>
    api.core.patchNamespacedConfigMap(
      { name, namespace, body: { data } },
      setHeaderOptions("Content-Type", PatchStrategy.MergePatch),
    );
  const write = (data: Record<string, string | null>, patienceMs?: number) =>
    ask(`write ConfigMap ${name}`, () => patch(data), patienceMs);

  return {
    name,

    /** Everything that is there; `undefined` where there is no such ConfigMap. */
    async read(): Promise<Stored | undefined> {
      const map = await find(`read ConfigMap ${name}`, () => api.core.readNamespacedConfigMap({ name, namespace }));
      if (map === undefined) return undefined;
      return { files: map.data ?? {}, state: stateOf(map.data ?? {}) };
    },

    /** Keeps the finished runs, the one that begins now, and those that will never be finished. */
    async saveProgress(
      jobUid: string,
      runs: readonly RunReport[],
      current: string | undefined,
      interrupted: readonly string[] = [],
    ): Promise<void> {
      const now = current === undefined ? {} : { current };
      const state = { ...stateFor(jobUid, interrupted), runs: [...shrinkRuns(runs)], ...now };
      await write({ "state.json": JSON.stringify(state) });
    },

    /** Keeps the report and its verdict together, so that whoever sees the one sees the other. Returns what did not fit. */
    async saveReport(
      jobUid: string,
      files: ReportFiles,
      verdict: NonNullable<State["verdict"]>,
      interrupted: readonly string[] = [],
    ): Promise<string[]> {
      const fitted = shrinkFiles(files);
      const runs = fitted["report.json"] === undefined ? { runs: [] } : {};
      const data = Object.fromEntries(Object.entries(fitted).map(([key, text]) => [key, text ?? null]));
      // The end of the report's life is worth waiting for an API server that is being upgraded.
      await write(
        { ...data, "state.json": JSON.stringify({ ...stateFor(jobUid, interrupted), ...runs, verdict }) },
        20_000,
      );
      return (Object.keys(files) as (keyof ReportFiles)[]).filter((key) => fitted[key] !== files[key]);
    },

    /** Empties it. Not an error where there is none. */
    async clear(): Promise<void> {
      await find(`empty ConfigMap ${name}`, () => patch(null));
    },
  };
}

export type ReportStore = ReturnType<typeof createReportStore>;

/** Finished runs of a stored report, in whichever of the two places they are. */
export function runsOf({ state, files }: Stored): readonly RunReport[] {
  if (state?.runs !== undefined) return state.runs;
  const json = files["report.json"];
  return json === undefined ? [] : Report.parse(JSON.parse(json)).runs;
}

const stateFor = (jobUid: string, interrupted: readonly string[]): State => ({
  schema: "holdfast/state/v1",
  jobUid,
  report: reportIdOf(jobUid),
  interrupted: [...interrupted],
});

/** What cannot be read was not written by this version, so it is nobody's state. */
function stateOf(data: Readonly<Record<string, string>>): State | undefined {
  try {
    return State.parse(JSON.parse(data["state.json"] ?? ""));
  } catch {
    return undefined;
  }
}
