/**
 * What was observed of one run, as read from the database, from Prometheus and from the workers. The descriptions are
 * those of docs/history.md: all of it stands in the history of a report.
 */
import * as z from "zod";
import { WorkerFinal, writerOf } from "../../worker/contract.ts";
import { type RunPlan, SERVER_FAULT_NAMES } from "../plan/run-plan.ts";
import { Quantiles, type ServersOfRun } from "./report-data.ts";

export const EmployeeState = z.strictObject({
  id: z.number().describe("Id of the employee"),
  version: z.number().describe("Version of the row: the number of its writes + 1"),
  salary: z.number().describe("Salary, salary units"),
  lastOp: z.number().describe("Id of the operation that wrote the row last; 0 if none has"),
});
export type EmployeeState = Readonly<z.infer<typeof EmployeeState>>;

/**
 * The ledger of one run in serial order: the rows of each employee by version. One array for each column: a million rows
 * stay below 100 MB.
 */
export interface Ledger {
  readonly length: number;
  readonly employee: Float64Array;
  readonly op: Float64Array;
  readonly readOp: Float64Array;
  readonly readVersion: Float64Array;
  readonly newVersion: Float64Array;
  readonly readSalary: Float64Array;
  readonly newSalary: Float64Array;
  readonly raise: Float64Array;
  /** 0 if the writer held no token. */
  readonly fence: Float64Array;
  /** By the database's clock, microseconds since 1970. */
  readonly readAtUs: Float64Array;
  readonly writtenAtUs: Float64Array;
}

/** A loop of a worker, as registered in the database. */
export const Writer = z.strictObject({
  id: z.number().describe("Id of the writer, the first part of the ids of its operations"),
  worker: z.number().describe("Index of the worker, from 0"),
  loop: z.number().describe("Index of the loop in the worker, from 0"),
  uid: z.string().describe("Unique id of the worker's process or pod"),
});
export type Writer = Readonly<z.infer<typeof Writer>>;

export const WorkerEvidence = z.strictObject({
  index: z.int().describe("Index of the worker, from 0"),
  uid: z.string().describe("Unique id of the worker's process or pod; empty if it never reported"),
  node: z.string().describe("Name of its Kubernetes node, or `local`"),
  final: WorkerFinal.optional().describe("The worker's own numbers; absent if it was lost before it was done"),
  lost: z.string().optional().describe("Why the worker failed; absent where it did not"),
  log: z.string().optional().describe("Last lines of the log of a lost worker; absent where there is none"),
  readyMs: z
    .number()
    .optional()
    .describe("Milliseconds from the start of the worker's process to ready; absent if it never was"),
});
export type WorkerEvidence = Readonly<z.infer<typeof WorkerEvidence>>;

const PrometheusWorker = z.strictObject({
  worker: z.number().describe("Index of the worker, from 0"),
  uid: z.string().describe("Unique id of the worker's process or pod"),
  committed: z.number().describe("Operations that the database acknowledged"),
  rejected: z.number().describe("Operations that were certainly not applied"),
  unknown: z.number().describe("Operations whose COMMIT was not answered"),
  raised: z.number().describe("Sum of the raises that were acknowledged, salary units"),
  naive: z.number().describe("Operations whose read-back version was not the version read + 1"),
});
export type PrometheusWorker = Readonly<z.infer<typeof PrometheusWorker>>;

export const PrometheusEvidence = z.strictObject({
  workers: z.array(PrometheusWorker).readonly().describe("The last sample of each worker that it scraped"),
  duplicates: z
    .strictObject({
      series: z.number().describe("How many series of one worker there are; the newest was read"),
      labels: z.array(z.string()).readonly().describe("The labels in which they differ"),
    })
    .optional()
    .describe("Several series of one worker; absent if there are none"),
  operation: Quantiles.describe("Time of one operation with its wait for the lock"),
  lockWait: Quantiles.describe("Time until the lock was held"),
});
export type PrometheusEvidence = Readonly<z.infer<typeof PrometheusEvidence>>;

export const ServerFaultTime = z.strictObject({
  name: z.enum(SERVER_FAULT_NAMES).describe("The fault, one of docs/scenarios/faults.md"),
  startedAtUs: z.number().describe("Its start, microseconds since 1970, by the clock of the database"),
  endedAtUs: z.number().describe("Its end, by the same clock"),
});
export type ServerFaultTime = Readonly<z.infer<typeof ServerFaultTime>>;

/** The writer of what the fault `foreign-writer` writes, which the database gives to no loop of a worker. */
export const FOREIGN_WRITER = 0;

export interface Evidence {
  readonly plan: RunPlan;
  readonly initial: readonly EmployeeState[];
  /** Empty if the database could not be read at the end: there is no data, and no row is missing. */
  readonly final: readonly EmployeeState[];
  /**
   * The whole ledger, or an empty one together with an empty `final`: half a ledger would look like lost operations.
   */
  readonly ledger: Ledger;
  readonly writers: readonly Writer[];
  readonly workers: readonly WorkerEvidence[];
  /** Absent if Prometheus did not have the final numbers of all workers; `problems` has the reason. */
  readonly prometheus?: PrometheusEvidence | undefined;
  /** The servers before the first operation and after the last one; absent where nobody asked. */
  readonly servers?: ServersOfRun | undefined;
  /** The faults of the servers that happened; absent in a run without them. */
  readonly serverFaults?: readonly ServerFaultTime[] | undefined;
  /** Problems of the run itself, each a sentence: a deadline that passed, a server that was lost. */
  readonly problems: readonly string[];
}

/** Whether this operation of the ledger is one of those that the fault `foreign-writer` made. */
export function isForeign({ serverFaults = [] }: Pick<Evidence, "serverFaults">, op: number): boolean {
  if (writerOf(op) !== FOREIGN_WRITER) return false;
  const made = serverFaults.filter(({ name }) => name === "foreign-writer").length;
  return op >= 1 && op <= made;
}
