/** What one run is made of, and what theory expects of it. */
import * as z from "zod";
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
  outlastsRefusals: true,
});
export type RunSetup = Readonly<z.infer<typeof RunSetup>>;

/** Faults that end or replace the process of a server or change its users. Each platform makes those that it can, in its own way. */
export const PLATFORM_FAULT_NAMES = [
  "redis-restart",
  "mysql-restart",
  "mysql-crash",
  "redlock-minority",
  "redlock-majority",
  "redlock-amnesia",
  "redis-restart-saved",
  "acl-revoked",
  "password-rotated",
  "redis-failover",
  "clock-jump",
  "zookeeper-restart",
  "consul-restart",
  "etcd-restart",
] as const;
export type PlatformFaultName = (typeof PLATFORM_FAULT_NAMES)[number];

/** Faults under which servers refuse workers for a while. */
export const REFUSING_FAULT_NAMES: readonly ServerFaultName[] = ["acl-revoked", "password-rotated"];

/** Faults of the servers, which the coordinator makes while the operations run. */
export const SERVER_FAULT_NAMES = [
  "lock-deleted",
  "redis-data-loss",
  "redis-stall",
  "foreign-writer",
  "mysql-kill-connections",
  ...PLATFORM_FAULT_NAMES,
] as const;
export type ServerFaultName = (typeof SERVER_FAULT_NAMES)[number];

export const ServerFault = z.strictObject({
  name: z.enum(SERVER_FAULT_NAMES).describe("The fault, one of docs/scenarios/faults.md"),
  afterMs: z.number().nonnegative().describe("When it happens first, milliseconds after the start of the operations"),
  everyMs: z.number().positive().describe("From the start of one to the start of the next, milliseconds"),
  times: z.int().positive().describe("How often it happens"),
  forMs: z.number().nonnegative().default(0).describe("How long it takes, milliseconds; 0 where it takes no time"),
});
export type ServerFault = Readonly<z.infer<typeof ServerFault>>;

/** The settings of a run without what names it. */
export const PlanSettings = RunSetup.omit({ run: true, strategy: true, mix: true, guard: true, ownLock: true }).extend({
  mysqlServers: z
    .int()
    .positive()
    .optional()
    .describe("Servers of one MySQL cluster that the workers wrote to; one if left out"),
  serverFaults: z
    .array(ServerFault)
    .readonly()
    .optional()
    .describe("Faults of the servers; absent or empty if there are none"),
});
export type PlanSettings = Readonly<z.infer<typeof PlanSettings>>;

/** What a verdict is about: the row, and whether two were inside at the same time. */
export const ASPECTS = ["data", "exclusion"] as const;
export type Aspect = (typeof ASPECTS)[number];

const EXPECTATIONS = ["holds", "violated", "unclaimed"] as const satisfies readonly Expectation[];

export const ExpectedOfRun = z.strictObject({
  data: z.enum(EXPECTATIONS).describe("Expected verdict on the data; unclaimed: theory promises nothing"),
  exclusion: z.enum(EXPECTATIONS).describe("Expected verdict on exclusion; unclaimed: theory promises nothing"),
  because: z.string().describe("Why, in one sentence without its full stop"),
  unbroken: z
    .array(z.enum(ASPECTS))
    .readonly()
    .optional()
    .describe("Aspects that are not claimed to hold here, and still must not be violated; absent if there are none"),
  halfApplied: z
    .literal(true)
    .optional()
    .describe("The violation is more than lost updates: a half of an operation is applied; absent otherwise"),
});
export type ExpectedOfRun = Readonly<z.infer<typeof ExpectedOfRun>>;

/** One run: one fleet, from reset of the rows to verdict. With a `mix`, `strategy` is the first of it. */
export const RunPlan = RunSetup.extend({
  expects: ExpectedOfRun.optional().describe(
    "What theory expects of this run; absent where that is what it expects of the strategy in general",
  ),
  mysqlServers: PlanSettings.shape.mysqlServers,
  serverFaults: PlanSettings.shape.serverFaults,
  repeat: z.int().optional().describe("Which repeat of the run, from 1; absent in a report without repeats"),
});
export type RunPlan = Readonly<z.infer<typeof RunPlan>>;

/** The indexes of all workers of a run: 0, 1, 2 and so on. */
export const workerIndexes = ({ workers }: Pick<RunPlan, "workers">): number[] =>
  Array.from({ length: workers }, (_, index) => index);

/** The strategy of one worker of a run. */
export const strategyOfWorker = ({ strategy, mix = [strategy] }: Pick<RunPlan, "strategy" | "mix">, worker: number) =>
  mix[worker % mix.length]!;
