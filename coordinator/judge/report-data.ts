/**
 * The report as data: the content of `report.json`. The other forms are made from it. The descriptions are those of
 * docs/report.schema.json and docs/report.md, where the rule of its versions stands.
 */
import * as z from "zod";
import { GUARDS, LOCK_SERVICES, OwnLockSeen, STRATEGY_NAMES } from "../../worker/contract.ts";
import { FAULT_NAMES } from "../plan/fault-theory.ts";
import { ExpectedOfRun, PlanSettings, SERVER_FAULT_NAMES } from "../plan/run-plan.ts";
import { SCENARIO_NAMES } from "../plan/scenarios/index.ts";
import { Drawing } from "./drawing-data.ts";
import { Interval } from "./interval.ts";

const Reasons = z.array(z.string()).readonly();

export const Verdict = z.discriminatedUnion("value", [
  z.strictObject({
    value: z.literal("holds").describe("holds: complete evidence shows no violation"),
    operations: z.int().describe("Only with holds: operations that could have shown a violation, n"),
    rateBelow: z.number().describe("Only with holds: bound on the rate of violations at 95 % confidence, 3/n"),
  }),
  z.strictObject({
    value: z.literal("violated").describe("violated: at least one was found"),
    count: z.int().describe("Only with violated: violations found by the first check that found any"),
    reasons: Reasons.describe("Only with violated: one sentence for each check that found a violation"),
  }),
  z.strictObject({
    value: z.literal("unknown").describe("unknown: none was found, and the evidence cannot show that there was none"),
    reasons: Reasons.describe("Only with unknown: what the evidence lacks, one sentence each"),
  }),
]);
export type Verdict = z.infer<typeof Verdict>;

export const Agreement = z
  .enum(["expected", "mismatch", "unknown"])
  .describe("expected: as theory says; mismatch: theory says otherwise; unknown: nothing was shown");
export type Agreement = z.infer<typeof Agreement>;

export const Quantiles = z.strictObject({
  count: z.number().describe("Measured times"),
  average: z.number().optional().describe("Seconds; absent if nothing was measured"),
  p50: z.number().optional().describe("Median, seconds, interpolated in a bucket; absent if nothing was measured"),
  p95: z.number().optional().describe("95th percentile, seconds, interpolated; absent if nothing was measured"),
  p99: z.number().optional().describe("99th percentile, seconds, interpolated; absent if nothing was measured"),
  buckets: z
    .array(
      z.strictObject({
        atMost: z
          .number()
          .nullable()
          .describe("Upper bound of the bucket, seconds; null: above the bounds of all others"),
        count: z.int().describe("Times in this bucket, without those of the buckets below it"),
      }),
    )
    .readonly()
    .optional()
    .describe("The histogram, without empty buckets; absent if nothing was measured"),
});
export type Quantiles = Readonly<z.infer<typeof Quantiles>>;

const CountsSchema = z.strictObject({
  committed: z.int().describe("Operations that the database acknowledged"),
  rejected: z.int().describe("Operations that were certainly not applied"),
  unknown: z.int().describe("Operations whose COMMIT was not answered: each may have been applied or not"),
});

export const CHECK_NAMES = [
  "chain",
  "value",
  "set",
  "exclusion",
  "fence",
  "liveness",
  "metrics",
  "errors",
  "naive",
  "vacuity",
] as const;

/** The operations that show one violation, and a sentence that describes it. */
export const Witness = z.strictObject({
  check: z.enum(CHECK_NAMES).describe("The check that found it"),
  text: z.string().describe("One sentence that describes the violation"),
  operations: z
    .array(z.int())
    .readonly()
    .describe("Ids of the operations that show it, as in the column op of the ledger; may be empty"),
});
export type Witness = z.infer<typeof Witness>;

export const CheckResult = z.strictObject({
  check: z.enum(CHECK_NAMES).describe("The name of the check"),
  status: z
    .enum(["holds", "violated", "unknown", "skipped"])
    .describe(
      "unknown: evidence is missing; skipped: the check does not apply, for example because there are no fencing tokens",
    ),
  detail: z.string().describe("One sentence with the numbers"),
  count: z.int().describe("Violations found; for naive, the operations that it counts"),
  witnesses: z.array(Witness).readonly().describe("The first violations, a few at most"),
});
export type CheckResult = z.infer<typeof CheckResult>;

/** Committed operations of one worker by three independent counts; null if a source has no number for it. */
export const ReconciliationRow = z.strictObject({
  worker: z.int().describe("Index of the worker, from 0"),
  uid: z.string().describe("Unique id of the worker's process or pod"),
  node: z.string().describe("Name of its Kubernetes node, or `local`"),
  prometheus: z
    .int()
    .nullable()
    .describe("Committed operations by the last scrape; null where Prometheus has no numbers of the worker"),
  reported: z
    .int()
    .nullable()
    .describe("Committed operations by the worker itself; null where it gave no final numbers"),
  ledger: z.int().describe("Rows of the ledger, those of operations of unknown outcome included"),
  died: z
    .literal(true)
    .optional()
    .describe("The run's fault ended the worker, after its last scrape; absent where it did not"),
  lost: z.string().optional().describe("Why the worker failed; absent where it did not"),
  log: z.string().optional().describe("Last lines of the log of a lost worker; absent where there is none"),
  readyMs: z
    .number()
    .optional()
    .describe("Milliseconds from the start of the worker's process to ready; absent if it never was"),
  residentBytes: z
    .int()
    .optional()
    .describe("Largest resident memory of the worker, bytes; absent where it gave no final numbers"),
});
export type ReconciliationRow = z.infer<typeof ReconciliationRow>;

/** What a run showed. */
const JudgementFields = {
  data: Verdict.describe("The verdict on the data: were writes lost, or applied wrongly?"),
  exclusion: Verdict.describe("The verdict on exclusion: were two operations inside at the same time?"),
  agreement: Agreement,
  reasons: Reasons.describe("Why the agreement is not `expected`; empty where it is"),
  checks: z.array(CheckResult).readonly().describe("What each check found"),
  overlap: z
    .number()
    .nullable()
    .describe(
      "The part of the planned duration, 0 to 1, in which all workers ran; null if not all of them said when they did",
    ),
  lostUpdates: z
    .int()
    .nullable()
    .describe("Writes that were not based on the version before them; null if the ledger was not read"),
  grantedMoney: z
    .int()
    .nullable()
    .describe("Sum of the raises in the ledger, salary units; null if the ledger was not read"),
  lostMoney: z
    .int()
    .nullable()
    .describe("Initial salary + granted raises - final salary, salary units; null if one of them was not read"),
  resolved: z
    .strictObject({
      applied: z.int().describe("Those that the ledger has"),
      notApplied: z.int().describe("Those that it does not have"),
    })
    .optional()
    .describe(
      "The operations of unknown outcome, resolved by their ids; absent if there were none, or the ledger was not read",
    ),
  reconciliation: z
    .array(ReconciliationRow)
    .readonly()
    .describe("Committed operations of each worker by three independent counts"),
};
const Judgement = z.strictObject(JudgementFields);
export type Judgement = z.infer<typeof Judgement>;

/** What the workers of one strategy did in a run of several strategies. */
const PartSchema = z.strictObject({
  strategy: z.enum(STRATEGY_NAMES).describe("The strategy, one of docs/strategies.md"),
  workers: z.int().describe("Workers that used it"),
  committed: z.int().describe("Its committed operations, by the ledger"),
  rejected: z.int().describe("Its rejected operations, by the workers themselves"),
  staleWrites: z.int().describe("Its writes that were not based on the version before them"),
  overwritten: z.int().describe("Its writes that were lost under a stale one"),
});

const Fields = z.record(z.string(), z.string());
/** Fields of `INFO` of Redis, and variables and status fields of MySQL. A server that did not answer is left out. */
const ServerStates = z.strictObject({
  redis: Fields.optional().describe("Fields of INFO, as Redis writes them; absent if Redis did not answer"),
  mysql: Fields.optional().describe("Variables and status fields, as MySQL writes them; absent if it did not answer"),
});
export type ServerStates = Readonly<z.infer<typeof ServerStates>>;

/** The servers of a run before the first operation and after the last one. */
export const ServersOfRun = z.strictObject({
  before: ServerStates.describe("Before the first operation"),
  after: ServerStates.describe("After the last operation"),
});
export type ServersOfRun = Readonly<z.infer<typeof ServersOfRun>>;

const RunError = z.strictObject({
  class: z.string().describe("Class of the error, one of docs/errors.md"),
  outcome: z
    .string()
    .describe("How the operation ended: rejected or unknown; retried: the error did not end the operation"),
  count: z.int().describe("How often it occurred"),
  example: z.string().describe("The message of one of them"),
});

export const RunReport = z.strictObject({
  run: z.string().describe("Name of the run, unique among all runs of one database"),
  strategy: z.enum(STRATEGY_NAMES).describe("The strategy, one of docs/strategies.md; with a mix, the first of it"),
  mix: z
    .array(z.enum(STRATEGY_NAMES))
    .readonly()
    .optional()
    .describe("Several strategies at once, in turn by the index of the worker; absent where all workers use one"),
  ownLock: z
    .strictObject({
      name: z
        .string()
        .describe("The name that --lock gave it, which stands for the strategy in all forms of the report"),
      seen: OwnLockSeen.optional().describe(
        "What its programs said of themselves, and what the workers saw of them; absent where no worker gave final numbers",
      ),
    })
    .optional()
    .describe("The user's own lock; absent where the strategy is another one than `own`"),
  repeat: z.int().optional().describe("Which repeat of the run, from 1; absent in a report without repeats"),
  guard: z.enum(GUARDS).describe("The condition inside the write, see docs/guards.md"),
  summary: z.string().describe("What the strategy does, one line"),
  plan: PlanSettings.describe("The settings of the run"),
  control: z.boolean().describe("Whether the run is a positive control: it must be violated"),
  expects: ExpectedOfRun.omit({ halfApplied: true })
    .extend({
      because: z.string().optional().describe("Why; absent where it follows from the strategy alone"),
    })
    .describe("What theory expects of the run"),
  startedAt: z.iso.datetime().describe("Start of the run, UTC, by the clock of the coordinator"),
  faults: z
    .array(z.string())
    .optional()
    .describe("The faults that happened, one sentence each; absent in a run without faults"),
  faultTimes: z
    .array(
      z.strictObject({
        worker: z.int().optional().describe("Index of the worker to which it happened; absent for a fault of a server"),
        server: z
          .enum(SERVER_FAULT_NAMES)
          .optional()
          .describe("The fault of a server, one of docs/scenarios/faults.md; absent for a fault of a worker"),
        startedAtUs: z.number().describe("Its start, microseconds since 1970, by the clock of the database"),
        endedAtUs: z
          .number()
          .describe("Its end, by the same clock: planned for a fault of a worker, observed for one of a server"),
      }),
    )
    .optional()
    .describe("When the faults happened, of each worker the first 100 times; absent in a run without faults"),
  shortened: z
    .strictObject({
      faults: z.array(z.enum(FAULT_NAMES)).readonly().describe("The fewest faults that were seen to violate the round"),
      repetitions: z.int().describe("How often the round was repeated to find them"),
    })
    .optional()
    .describe("A violated round of soak, repeated with fewer faults; absent in other runs"),
  quietSeconds: z
    .number()
    .nullable()
    .optional()
    .describe(
      "Longest time without a write that overlaps a fault, seconds; null if no fault happened between two writes; absent in a run without faults",
    ),
  faultWrites: z
    .strictObject({
      before: z.int().describe("Before the start of the first fault"),
      during: z.int().describe("While a fault lasted"),
      between: z.int().describe("Between two faults"),
      after: z.int().describe("After the end of the last fault"),
    })
    .nullable()
    .optional()
    .describe(
      "Rows of the ledger by the time of their write; null if no fault happened; absent in a run without faults",
    ),
  seconds: z
    .number()
    .describe("Seconds from the first worker's start to the last worker's end, by the clock of the database"),
  wholeSeconds: z
    .number()
    .describe("Seconds of the whole run, with the start of the fleet, the scrapes and the judging"),
  operations: CountsSchema.nullable().describe("Operations by Prometheus; null where it had no complete numbers"),
  reported: CountsSchema.describe("Operations by the workers themselves; a worker without final numbers adds nothing"),
  ledgerRows: z.int().describe("Rows of the ledger, one for each write; 0 also if it was not read"),
  naive: z
    .int()
    .nullable()
    .describe(
      "By Prometheus: operations whose read-back version was not the version read + 1; null where it had no complete numbers",
    ),
  operationSeconds: Quantiles.nullable().describe(
    "Time of one operation with its wait for the lock, by Prometheus; null where it had no complete numbers",
  ),
  lockWaitSeconds: Quantiles.nullable().describe(
    "Time until the lock was held, by Prometheus; null where it had no complete numbers",
  ),
  throughput: z
    .number()
    .nullable()
    .describe("Committed operations a second, by Prometheus; null where it had no complete numbers"),
  parts: z.array(PartSchema).optional().describe("What each strategy of a mix did; absent without a mix"),
  recoverySeconds: z
    .number()
    .nullable()
    .optional()
    .describe(
      "Seconds from the death of a holder to the next write; null where no worker died or nothing was written after it; absent in a run without this fault",
    ),
  fairness: z
    .number()
    .nullable()
    .describe(
      "Jain's index over the workers' committed operations, 1/workers to 1, by Prometheus; null where it had no complete numbers or nothing was committed",
    ),
  errors: z.array(RunError).describe("The errors of the operations by class and outcome, the most frequent first"),
  ...JudgementFields,
  problems: z.array(z.string()).readonly().describe("What went wrong with the run itself, one sentence each"),
  servers: ServersOfRun.optional().describe("The state of Redis and MySQL; absent if they were not asked"),
  notes: z
    .array(z.string())
    .readonly()
    .optional()
    .describe(
      "What may explain the result: what the servers did, how they are set up, or that the run took longer than planned; absent if nothing may",
    ),
  drawing: Drawing.optional().describe("What report.html draws; absent if the ledger is empty or was not read"),
});
export type RunReport = z.infer<typeof RunReport>;

/** The numbers of a run that have a median and an interval, by their place in it. */
export const MEASURES = [
  "throughput",
  ...(["operationSeconds", "lockWaitSeconds"] as const).flatMap((times) =>
    (["average", "p50", "p95", "p99"] as const).map((key) => `${times}.${key}` as const),
  ),
] as const;
export type Measure = (typeof MEASURES)[number];

/** What the repeats of one run show together. */
export const Repeated = z.strictObject({
  name: z.string().describe("Name of the run in the report, mostly its strategy"),
  runs: z.array(z.string()).describe("Names of its repeats, as in `runs[].run`"),
  data: Verdict.describe(
    "The verdict on the data in all repeats: violated if any is violated, otherwise unknown if any is unknown",
  ),
  exclusion: Verdict.describe("The verdict on exclusion in all repeats, by the same rule"),
  agreement: Agreement,
  medians: z
    .array(
      z.strictObject({
        of: z.enum(MEASURES).describe("The number, by its place in `runs[]`"),
        ...Interval.shape,
      }),
    )
    .describe("The measured numbers; one that no repeat has is left out"),
});
export type Repeated = z.infer<typeof Repeated>;

/** One negative probe of the Redis ACL: a command that must be refused, and the answer of Redis. */
export const AclProbe = z.strictObject({
  service: z.enum(LOCK_SERVICES).optional().describe("The lock service that was asked; absent if it was Redis"),
  user: z.string().describe("The user that tried the command"),
  attempt: z.string().describe("The command, which must be refused"),
  outcome: z
    .enum(["refused", "allowed", "unanswered"])
    .describe(
      "refused: as it must be; allowed: a violation; unanswered: the answer shows neither, for example because the server does not have the command",
    ),
  answer: z.string().describe("What the server answered"),
});
export type AclProbe = z.infer<typeof AclProbe>;

export const EXIT = { expected: 0, violated: 1, invalid: 2, unknown: 3, unreachable: 4, slower: 5 } as const;

export const Report = z.strictObject({
  schema: z.literal("holdfast/report/v2").describe("Name and version of this schema"),
  report: z.string().describe("Name of the report"),
  version: z.string().describe("Version of Holdfast"),
  scenario: z.enum(SCENARIO_NAMES).describe("The scenario, one of docs/scenarios"),
  startedAt: z.iso.datetime().describe("Start, UTC, by the clock of the coordinator"),
  endedAt: z.iso.datetime().describe("End, UTC, by the clock of the coordinator"),
  where: z.string().describe("Where the workers ran"),
  options: z
    .record(z.string(), z.unknown())
    .describe("The options as they were given or by default; `--help` describes them"),
  environment: z
    .record(z.string(), z.string())
    .describe("Versions of the servers, and their settings that affect what a lock can promise"),
  acl: z
    .array(AclProbe)
    .describe(
      "What the users of Redis and of the lock services must not be allowed to do, tried; empty if nothing was tried",
    ),
  aclGranted: z
    .array(
      z.strictObject({
        user: z.string().describe("The Redis user"),
        attempts: z.array(z.string()).describe("Commands that the user needs, tried and allowed"),
      }),
    )
    .optional()
    .describe("Commands that each Redis user needs, tried and allowed; only in the scenario acl"),
  aclNote: z
    .string()
    .optional()
    .describe("Why nothing was tried, or where it was tried; absent if all was tried on one Redis"),
  runs: z.array(RunReport).describe("The runs that were made, in order"),
  repeats: z
    .array(Repeated)
    .optional()
    .describe("What the repeats of each run show together, in the order of the scenario; absent without `--repeat`"),
  skipped: z
    .array(
      z.strictObject({
        strategy: z.string().describe("Name of the run in the report, mostly its strategy"),
        reason: z.string().describe("Why it was not made"),
        unavailable: z
          .literal(true)
          .optional()
          .describe(
            "The scenario chose the strategy and it cannot run here, which does not affect the verdict; absent otherwise",
          ),
      }),
    )
    .describe("Runs that were not made"),
  verdict: z
    .strictObject({
      value: z
        .enum(["expected", "violated", "unknown"])
        .describe("expected: all is as theory says; violated: something that must hold did not; unknown: neither"),
      line: z.string().describe("The verdict in one line"),
      exitCode: z.int().describe("The exit status that belongs to it, see docs/errors.md"),
      reasons: z.array(z.string()).describe("Everything that is not as expected, one sentence each"),
    })
    .describe("The verdict on the whole report"),
});
export type Report = z.infer<typeof Report>;

/** The part of a report that is observed, not computed. */
export const ReportFacts = Report.omit({ schema: true, runs: true, repeats: true, verdict: true });
export type ReportFacts = Readonly<z.infer<typeof ReportFacts>>;
