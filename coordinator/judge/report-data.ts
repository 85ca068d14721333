/** The report as data: what `report.json` holds. The schema is versioned; text, Markdown and JUnit are made from it. */
import * as z from "zod";
import { GUARDS, STRATEGY_NAMES } from "../../worker/contract.ts";
import { ASPECTS } from "../plan/run-plan.ts";

const VerdictSchema = z.discriminatedUnion("value", [
  z.strictObject({ value: z.literal("holds"), operations: z.int(), rateBelow: z.number() }),
  z.strictObject({ value: z.literal("violated"), count: z.int(), reason: z.string() }),
  z.strictObject({ value: z.literal("unknown"), reason: z.string() }),
]);

/** Seconds; a quantile is absent where there was nothing to measure. */
const QuantilesSchema = z.strictObject({
  count: z.number(),
  average: z.number().optional(),
  p50: z.number().optional(),
  p95: z.number().optional(),
  p99: z.number().optional(),
});

const CountsSchema = z.strictObject({ committed: z.int(), rejected: z.int(), unknown: z.int() });

const CheckSchema = z.strictObject({
  check: z.string(),
  status: z.enum(["holds", "violated", "unknown", "skipped"]),
  detail: z.string(),
  count: z.int(),
  witnesses: z.array(z.strictObject({ check: z.string(), text: z.string(), operations: z.array(z.int()) })),
});

/** One worker in three books: what Prometheus scraped, what the worker said, what the ledger holds. */
const ReconciliationRow = z.strictObject({
  worker: z.int(),
  uid: z.string(),
  node: z.string(),
  prometheus: z.int().nullable(),
  reported: z.int().nullable(),
  ledger: z.int(),
  died: z.literal(true).optional().describe("It ended on purpose, after its last scrape"),
  lost: z.string().optional(),
  log: z.string().optional(),
  readyMs: z.number().optional().describe("From the start of the worker's process to ready"),
  residentBytes: z.int().optional().describe("Largest resident memory of the worker"),
});

/** What the workers of one strategy did in a run where several met. */
const PartSchema = z.strictObject({
  strategy: z.enum(STRATEGY_NAMES),
  workers: z.int(),
  committed: z.int().describe("By the ledger"),
  rejected: z.int().describe("By the workers themselves"),
  staleWrites: z.int().describe("Its writes that were based on something else than the write before them"),
  overwritten: z.int().describe("Its writes that were lost under a stale one"),
});

export const RunReport = z.strictObject({
  run: z.string(),
  strategy: z.enum(STRATEGY_NAMES),
  mix: z.array(z.enum(STRATEGY_NAMES)).optional().describe("Several at once, in turn by the index of the worker"),
  guard: z.enum(GUARDS),
  summary: z.string(),
  plan: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  control: z.boolean(),
  expects: z.strictObject({
    data: z.string(),
    exclusion: z.string(),
    because: z.string().optional(),
    unbroken: z
      .array(z.enum(ASPECTS))
      .readonly()
      .optional()
      .describe("Not claimed to hold, and yet must not be violated"),
  }),
  startedAt: z.iso.datetime(),
  /** What was made to fail on purpose; absent or empty where nothing was. */
  faults: z.array(z.string()).optional(),
  seconds: z.number().describe("From the first worker's start to the last worker's end"),
  wholeSeconds: z.number().describe("The whole run: the start of the fleet, the scrapes and the judging, too"),
  overlap: z.number().nullable().describe("The part of the planned duration, 0 to 1, in which all workers ran"),
  operations: CountsSchema.nullable().describe("By Prometheus; null where it had no complete numbers"),
  reported: CountsSchema.describe("By the workers themselves"),
  ledgerRows: z.int(),
  lostUpdates: z.int().nullable().describe("Writes that were based on something else than the write before them"),
  grantedMoney: z.int().nullable().describe("Sum of the raises in the ledger, salary units"),
  lostMoney: z.int().nullable().describe("Initial salary + granted raises - final salary, salary units"),
  naive: z.int().nullable().describe("Operations whose read-back version was not the version read + 1"),
  operationSeconds: QuantilesSchema.nullable(),
  lockWaitSeconds: QuantilesSchema.nullable(),
  throughput: z.number().nullable().describe("Committed operations a second"),
  parts: z.array(PartSchema).optional(),
  recoverySeconds: z
    .number()
    .nullable()
    .optional()
    .describe("From the death of a holder to the next write; null where nothing was written after it"),
  fairness: z.number().nullable().describe("Jain's index over the workers' committed operations"),
  errors: z.array(z.strictObject({ class: z.string(), outcome: z.string(), count: z.int(), example: z.string() })),
  data: VerdictSchema,
  exclusion: VerdictSchema,
  agreement: z.enum(["expected", "mismatch", "unknown"]),
  reason: z.string().optional(),
  checks: z.array(CheckSchema),
  reconciliation: z.array(ReconciliationRow),
  problems: z.array(z.string()),
});
export type RunReport = z.infer<typeof RunReport>;

/** One negative probe of the Redis ACL: something that must be refused, and Redis's own words. */
export const AclProbe = z.strictObject({
  user: z.string(),
  attempt: z.string(),
  refused: z.boolean(),
  answer: z.string(),
});
export type AclProbe = z.infer<typeof AclProbe>;

export const EXIT = { expected: 0, violated: 1, invalid: 2, unknown: 3, unreachable: 4 } as const;

export const Report = z.strictObject({
  schema: z.literal("holdfast/report/v1"),
  report: z.string(),
  version: z.string(),
  scenario: z.string(),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime(),
  where: z.string(),
  options: z.record(z.string(), z.unknown()),
  /** Servers and the settings that change what a lock can promise. */
  environment: z.record(z.string(), z.string()),
  acl: z.array(AclProbe),
  /** What each user must be able to do, and can. */
  aclGranted: z.array(z.strictObject({ user: z.string(), attempts: z.array(z.string()) })).optional(),
  aclNote: z.string().optional(),
  runs: z.array(RunReport),
  /** Runs that were not made, each with the reason; `unavailable` where nobody asked for it by name. */
  skipped: z.array(
    z.strictObject({ strategy: z.string(), reason: z.string(), unavailable: z.literal(true).optional() }),
  ),
  verdict: z.strictObject({
    value: z.enum(["expected", "violated", "unknown"]),
    line: z.string(),
    exitCode: z.int(),
    reasons: z.array(z.string()),
  }),
});
export type Report = z.infer<typeof Report>;
