/** What one run is made of, and what theory expects of it. */
import type * as z from "zod";
import { type Expectation, WorkerSpec } from "../../worker/contract.ts";

/** The settings of one run: what its workers get, except where their servers are. Times are milliseconds. */
export const RunSetup = WorkerSpec.omit({
  report: true,
  statementTimeoutMs: true,
  ledger: true,
  coordinatorUrl: true,
  heartbeatMs: true,
  coordinatorLostMs: true,
  lingerMs: true,
});
export type RunSetup = Readonly<z.infer<typeof RunSetup>>;

/** The settings of a run without what names it. */
export const PlanSettings = RunSetup.omit({ run: true, strategy: true, mix: true, guard: true });
export type PlanSettings = Readonly<z.infer<typeof PlanSettings>>;

/** One run: one fleet, from reset of the rows to verdict. With a `mix`, `strategy` is the first of it. */
export interface RunPlan extends RunSetup {
  /** What theory expects of this run, where that differs from what it expects of the strategy in general. */
  readonly expects?: ExpectedOfRun | undefined;
}

/** The indexes of all workers of a run: 0, 1, 2 and so on. */
export const workerIndexes = ({ workers }: Pick<RunPlan, "workers">): number[] =>
  Array.from({ length: workers }, (_, index) => index);

/** What a verdict is about: the row, and whether two were inside at the same time. */
export const ASPECTS = ["data", "exclusion"] as const;
export type Aspect = (typeof ASPECTS)[number];

export interface ExpectedOfRun {
  readonly data: Expectation;
  readonly exclusion: Expectation;
  /** Why, in one sentence without its full stop. */
  readonly because: string;
  /** Aspects that are not claimed because the run could not show them, but that the strategy promises all the same. */
  readonly unbroken?: readonly Aspect[];
  /** The violation is more than lost updates: a half of an operation is applied. */
  readonly halfApplied?: true;
}
