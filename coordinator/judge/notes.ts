/** What may explain the result of a run: what the servers did or how they are set up, or that it took longer. Pure. */
import { STRATEGIES } from "../../worker/contract.ts";
import type { RunPlan } from "../plan/run-plan.ts";
import { duration, list, plural } from "../text/format.ts";
import { timed } from "./checks/liveness.ts";
import { togetherMs } from "./checks/vacuity.ts";
import type { Evidence } from "./evidence.ts";
import type { ServerStates } from "./report-data.ts";

/** One sentence each, without a full stop. Redis is left out where no strategy of the run uses it. */
export function notesOf(evidence: Evidence): string[] {
  return [...explanationsOf(evidence), ...noteExtension(evidence), ...noteDuplicates(evidence)];
}

/** The notes that may be the cause of a violation or of a missing result. */
export function explanationsOf({ plan, servers }: Evidence): string[] {
  if (servers === undefined) return [];
  const { before, after } = servers;
  return [...(usesRedis(plan) ? noteRedis(before.redis, after.redis) : []), ...noteMysql(before.mysql, after.mysql)];
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

type State = ServerStates["redis"];

const usesRedis = ({ strategy, mix = [strategy] }: RunPlan): boolean =>
  mix.some((name) => STRATEGIES[name].lock.keptIn === "redis");

function noteRedis(before: State, after: State): string[] {
  if (before === undefined || after === undefined)
    return ["Redis did not answer the coordinator at the start or end of this run"];
  const notes: string[] = [];
  const replaced = before.run_id !== after.run_id;
  if (replaced)
    notes.push(
      startedSince(before, after, REDIS_CLOCK)
        ? `Redis restarted during this run (aof_enabled ${after.aof_enabled}): it may have lost locks that were held`
        : "another Redis answered after this run (a failover): locks that it had not received yet are lost",
    );
  if (before.role !== after.role)
    notes.push(
      `Redis changed its role from ${before.role} to ${after.role} during this run: a failover may lose locks`,
    );
  const evicted = growth(before, after, "evicted_keys", replaced);
  if (evicted > 0)
    notes.push(
      `Redis evicted ${plural(evicted, "key")} during this run (maxmemory-policy ${after.maxmemory_policy}): it may have evicted the lock`,
    );
  const flushed = growth(before, after, "flushes", replaced);
  if (flushed > 0)
    notes.push(`Redis was flushed ${plural(flushed, "time")} during this run: every lock that it held is lost`);
  if (before.maxmemory_policy !== after.maxmemory_policy)
    notes.push(`maxmemory-policy changed from ${before.maxmemory_policy} to ${after.maxmemory_policy} during this run`);
  return notes;
}

function noteMysql(before: State, after: State): string[] {
  if (before === undefined || after === undefined)
    return ["MySQL did not answer the coordinator at the start or end of this run"];
  const restarted = startedAnew(before, after, MYSQL_CLOCK);
  // Whichever of its servers answers has every commit that the cluster acknowledged.
  const isGalera = before.wsrep_on === "ON" && after.wsrep_on === "ON";
  return [
    ...(restarted && before.hostname === after.hostname
      ? [`MySQL restarted during this run (innodb_flush_log_at_trx_commit ${after.innodb_flush_log_at_trx_commit})`]
      : []),
    ...(before.hostname === after.hostname || isGalera
      ? []
      : [
          `MySQL on ${before.hostname} answered before this run, MySQL on ${after.hostname} after it: a failover may lose acknowledged commits`,
        ]),
    ...Object.keys(after)
      .filter((name) => !VARYING.includes(name) && before[name] !== after[name])
      .map((name) => `${name} of MySQL changed from ${before[name]} to ${after[name]} during this run`),
  ];
}

/** Fields that say when the server was started, seconds, and when it was asked, milliseconds. */
const REDIS_CLOCK = "uptime_in_seconds";
const MYSQL_CLOCK = "Uptime";
const ASKED_AT = "asked_at_ms";
const VARYING = [MYSQL_CLOCK, ASKED_AT, "hostname"];
/** Uptimes are whole seconds, and an answer takes a while. */
const CLOCK_SLACK_S = 3;

/** Whether the server that answered after the run has been up for a shorter time than the run took. */
const startedSince = (before: Record<string, string>, after: Record<string, string>, clock: string): boolean =>
  Number(after[clock]) <= elapsedSeconds(before, after);

/** The same, and for a shorter time than a server that went on running would have been. */
const startedAnew = (before: Record<string, string>, after: Record<string, string>, clock: string): boolean =>
  startedSince(before, after, clock) &&
  Number(after[clock]) < Number(before[clock]) + elapsedSeconds(before, after) - CLOCK_SLACK_S;

const elapsedSeconds = (before: Record<string, string>, after: Record<string, string>) =>
  (Number(after[ASKED_AT]) - Number(before[ASKED_AT])) / 1_000;

/** How much a counter grew; a server that was replaced counts from 0. */
function growth(
  before: Record<string, string>,
  after: Record<string, string>,
  field: string,
  replaced: boolean,
): number {
  const grown = Number(after[field] ?? 0) - (replaced ? 0 : Number(before[field] ?? 0));
  return Number.isFinite(grown) ? grown : 0;
}

/** A run that takes this much longer than planned was extended, milliseconds: no heartbeat is that late. */
const EXTENDED_MS_MIN = 1_000;

/** What a fault of a server adds to a run stands with the fault. */
function noteExtension(evidence: Evidence): string[] {
  const { plan, ledger, workers } = evidence;
  const tookMs = togetherMs(evidence) ?? 0;
  if (plan.serverFaults !== undefined || tookMs < plan.durationMs + EXTENDED_MS_MIN) return [];
  const endUs = Math.max(...timed(workers).map(({ startedAtUs }) => startedAtUs)) + plan.durationMs * 1_000;
  const inTime = ledger.writtenAtUs.filter((us) => us <= endUs).length;
  return [
    `the operations took ${duration(tookMs)} in place of ${duration(plan.durationMs)}: ${plural(inTime, "operation")} had been committed in the planned time`,
  ];
}

function noteDuplicates({ prometheus }: Evidence): string[] {
  if (prometheus?.duplicates === undefined) return [];
  const { series, labels } = prometheus.duplicates;
  return [
    `Prometheus has ${series} series of a worker, which differ in ${list(labels)}: the newest was used; let only one job scrape the workers`,
  ];
}
