/** The report as data: the content of `report.json`. The schema is versioned. The other forms are made from it. */
import * as z from "zod";
import { type Expectation, GUARDS, STRATEGY_NAMES } from "../../worker/contract.ts";
import { ASPECTS, PlanSettings } from "../plan/run-plan.ts";
import { SCENARIO_NAMES } from "../plan/scenarios/index.ts";

const EXPECTATIONS = ["holds", "violated", "unclaimed"] as const satisfies readonly Expectation[];
const Reasons = z.array(z.string()).readonly();

export const Verdict = z.discriminatedUnion("value", [
  z.strictObject({
    value: z.literal("holds"),
    operations: z.int().describe("Operations that could have shown a violation"),
    rateBelow: z.number().describe("Bound on the rate of violations at 95 % confidence: 3/n"),
  }),
  z.strictObject({ value: z.literal("violated"), count: z.int(), reasons: Reasons }),
  z.strictObject({ value: z.literal("unknown"), reasons: Reasons }),
]);
export type Verdict = z.infer<typeof Verdict>;

export const Agreement = z
  .enum(["expected", "mismatch", "unknown"])
  .describe("expected: as theory says; mismatch: theory says otherwise; unknown: nothing was shown");
export type Agreement = z.infer<typeof Agreement>;

/** Seconds. A quantile is absent if nothing was measured. */
export const Quantiles = z.strictObject({
  count: z.number(),
  average: z.number().optional(),
  p50: z.number().optional(),
  p95: z.number().optional(),
  p99: z.number().optional(),
});
export type Quantiles = Readonly<z.infer<typeof Quantiles>>;

const CountsSchema = z.strictObject({ committed: z.int(), rejected: z.int(), unknown: z.int() });

export const CHECK_NAMES = [
  "chain",
  "value",
  "set",
  "exclusion",
  "fence",
  "liveness",
  "metrics",
  "naive",
  "vacuity",
] as const;

/** The operations that show one violation, and a sentence that describes it. */
export const Witness = z.strictObject({
  check: z.enum(CHECK_NAMES),
  text: z.string(),
  operations: z.array(z.int()).readonly(),
});
export type Witness = z.infer<typeof Witness>;

export const CheckResult = z.strictObject({
  check: z.enum(CHECK_NAMES),
  status: z
    .enum(["holds", "violated", "unknown", "skipped"])
    .describe("skipped: the check does not apply, for example because there are no fencing tokens"),
  detail: z.string().describe("One sentence with the numbers"),
  count: z.int().describe("Violations found"),
  witnesses: z.array(Witness).readonly().describe("The first violations, a few at most"),
});
export type CheckResult = z.infer<typeof CheckResult>;

/** Committed operations of one worker by three independent counts; null if a source has no number for it. */
export const ReconciliationRow = z.strictObject({
  worker: z.int(),
  uid: z.string(),
  node: z.string(),
  prometheus: z.int().nullable().describe("By the last scrape"),
  reported: z.int().nullable().describe("By the worker itself"),
  ledger: z.int().describe("Rows of the ledger, those of operations of unknown outcome included"),
  died: z.literal(true).optional().describe("The run's fault ended it, after its last scrape"),
  lost: z.string().optional(),
  log: z.string().optional(),
  readyMs: z.number().optional().describe("From the start of the worker's process to ready"),
  residentBytes: z.int().optional().describe("Largest resident memory of the worker"),
});
export type ReconciliationRow = z.infer<typeof ReconciliationRow>;

/** What a run showed. */
const JudgementFields = {
  data: Verdict,
  exclusion: Verdict,
  agreement: Agreement,
  reasons: Reasons.describe("Why the agreement is not `expected`; empty where it is"),
  checks: z.array(CheckResult).readonly(),
  overlap: z.number().nullable().describe("The part of the planned duration, 0 to 1, in which all workers ran"),
  lostUpdates: z.int().nullable().describe("Writes that were not based on the version before them"),
  grantedMoney: z.int().nullable().describe("Sum of the raises in the ledger, salary units"),
  lostMoney: z.int().nullable().describe("Initial salary + granted raises - final salary, salary units"),
  reconciliation: z.array(ReconciliationRow).readonly(),
};
const Judgement = z.strictObject(JudgementFields);
export type Judgement = z.infer<typeof Judgement>;

/** What the workers of one strategy did in a run of several strategies. */
const PartSchema = z.strictObject({
  strategy: z.enum(STRATEGY_NAMES),
  workers: z.int(),
  committed: z.int().describe("By the ledger"),
  rejected: z.int().describe("By the workers themselves"),
  staleWrites: z.int().describe("Its writes that were not based on the version before them"),
  overwritten: z.int().describe("Its writes that were lost under a stale one"),
});

export const RunReport = z.strictObject({
  run: z.string(),
  strategy: z.enum(STRATEGY_NAMES),
  mix: z
    .array(z.enum(STRATEGY_NAMES))
    .readonly()
    .optional()
    .describe("Several strategies at once, in turn by the index of the worker"),
  guard: z.enum(GUARDS),
  summary: z.string(),
  plan: PlanSettings,
  control: z.boolean(),
  expects: z.strictObject({
    data: z.enum(EXPECTATIONS),
    exclusion: z.enum(EXPECTATIONS),
    because: z.string().optional(),
    unbroken: z
      .array(z.enum(ASPECTS))
      .readonly()
      .optional()
      .describe("Aspects that are not claimed to hold here, and still must not be violated"),
  }),
  startedAt: z.iso.datetime(),
  /** The faults that were injected; absent or empty if there were none. */
  faults: z.array(z.string()).optional(),
  seconds: z.number().describe("From the first worker's start to the last worker's end"),
  wholeSeconds: z.number().describe("The whole run, with the start of the fleet, the scrapes and the judging"),
  operations: CountsSchema.nullable().describe("By Prometheus; null where it had no complete numbers"),
  reported: CountsSchema.describe("By the workers themselves"),
  ledgerRows: z.int(),
  naive: z.int().nullable().describe("Operations whose read-back version was not the version read + 1"),
  operationSeconds: Quantiles.nullable(),
  lockWaitSeconds: Quantiles.nullable(),
  throughput: z.number().nullable().describe("Committed operations a second"),
  parts: z.array(PartSchema).optional(),
  recoverySeconds: z
    .number()
    .nullable()
    .optional()
    .describe("From the death of a holder to the next write; null where nothing was written after it"),
  fairness: z.number().nullable().describe("Jain's index over the workers' committed operations"),
  errors: z.array(z.strictObject({ class: z.string(), outcome: z.string(), count: z.int(), example: z.string() })),
  ...JudgementFields,
  problems: z.array(z.string()).readonly(),
});
export type RunReport = z.infer<typeof RunReport>;

/** One negative probe of the Redis ACL: a command that must be refused, and the answer of Redis. */
export const AclProbe = z.strictObject({
  user: z.string(),
  attempt: z.string(),
  outcome: z
    .enum(["refused", "allowed", "unanswered"])
    .describe("unanswered: the answer shows neither, for example because the server does not have the command"),
  answer: z.string(),
});
export type AclProbe = z.infer<typeof AclProbe>;

export const EXIT = { expected: 0, violated: 1, invalid: 2, unknown: 3, unreachable: 4 } as const;

export const Report = z.strictObject({
  schema: z.literal("holdfast/report/v2"),
  report: z.string(),
  version: z.string(),
  scenario: z.enum(SCENARIO_NAMES),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime(),
  where: z.string(),
  options: z.record(z.string(), z.unknown()),
  /** Servers, and their settings that affect what a lock can promise. */
  environment: z.record(z.string(), z.string()),
  acl: z.array(AclProbe),
  /** Commands that each user needs, tried and allowed. */
  aclGranted: z.array(z.strictObject({ user: z.string(), attempts: z.array(z.string()) })).optional(),
  aclNote: z.string().optional(),
  runs: z.array(RunReport),
  /** Runs that were not made, with the reason; `unavailable` if the user did not name the strategy. */
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
