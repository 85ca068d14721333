/** The faults of a run: how often they happened, and how long the recovery took. Pure. */
import type { Fault } from "../../worker/contract.ts";
import type { ServerFault, ServerFaultName } from "../plan/run-plan.ts";
import { duration, plural } from "../text/format.ts";
import type { Evidence } from "./evidence.ts";
import type { RunReport } from "./report-data.ts";

type FaultTimes = NonNullable<RunReport["faultTimes"]>;

/** Describes what was made to fail in a run, and how often it did. Empty where nothing happened. */
export const describeFaults = (evidence: Evidence): string[] => [
  ...(evidence.plan.fault === undefined ? [] : describeWorkerFault(evidence.plan.fault, evidence)),
  ...(evidence.plan.soak ?? []).flatMap((fault) => describeWorkerFault(fault, evidence)),
  ...(evidence.plan.serverFaults ?? []).flatMap((fault) => describeServerFault(fault, evidence)),
];

/** Whether theory was asked what becomes of a strategy when something fails. */
export const hasFaults = ({
  fault,
  soak,
  serverFaults,
}: Pick<Evidence["plan"], "fault" | "soak" | "serverFaults">): boolean =>
  fault !== undefined || soak !== undefined || serverFaults !== undefined;

function describeServerFault({ name, forMs }: ServerFault, { serverFaults = [] }: Evidence): string[] {
  const times = serverFaults.filter((fault) => fault.name === name).length;
  return times === 0 ? [] : [`${SERVER_FAULTS[name](forMs)}, ${plural(times, "time")}`];
}

const SERVER_FAULTS: Record<ServerFaultName, (forMs: number) => string> = {
  "lock-deleted": () => "somebody deleted the key of the lock",
  "redis-data-loss": () => "Redis lost all its data",
  "redis-stall": (forMs) => `Redis answered nobody for ${duration(forMs)}`,
  "foreign-writer": () => "a foreign writer wrote the row without the lock",
  "mysql-kill-connections": () => "MySQL ended all connections of its clients",
  "redis-restart": () => "Redis was killed and came back empty",
  "mysql-restart": () => "MySQL shut down and started again",
  "mysql-crash": () => "MySQL was killed and started again",
  "redlock-minority": (forMs) => `a minority of the Redis servers was down for ${duration(forMs)}`,
  "redlock-majority": (forMs) => `a majority of the Redis servers was down for ${duration(forMs)}`,
  "redis-restart-saved": () => "Redis saved its data, shut down and started again",
  "acl-revoked": (forMs) => `Redis refused the workers every command for ${duration(forMs)}`,
  "password-rotated": (forMs) => `Redis cut the workers off and refused their passwords for ${duration(forMs)}`,
  "redis-failover": () => "Redis was killed, and a replica that did not have the lock took its place",
  "clock-jump": () => "the clock of Redis jumped forward by an hour",
  "zookeeper-restart": () => "ZooKeeper shut down and started again",
  "consul-restart": () => "Consul shut down and started again",
  "etcd-restart": () => "etcd shut down and started again",
  "redlock-amnesia": () => "one Redis missed the lock and another one lost it",
};

function describeWorkerFault(fault: Fault, { workers }: Evidence): string[] {
  const concerned = workers.filter(({ index }) => fault.worker === undefined || fault.worker === index);
  const times = concerned.reduce((sum, { final }) => sum + (final?.faulted ?? 0), 0);
  if (times === 0) return [];
  const where = PLACES[fault.at];
  const who = fault.worker === undefined ? "a worker" : `worker-${fault.worker}`;
  const often = plural(times, "time");
  switch (fault.action) {
    case "sleep":
      return [`${who} worked for ${duration(fault.forMs)} ${where}, ${often}`];
    case "stall":
      return [`${who} was stalled for ${duration(fault.forMs)} ${where}, ${often}`];
    case "die":
      return [`${who} died ${where} and released nothing`];
    case "partition":
      return [`nothing passed between ${who} and ${serversOf(fault)} for ${duration(fault.forMs)}, ${often}`];
    case "slow-network":
      return [
        `what passed between ${who} and ${serversOf(fault)} took about ${duration(fault.delayMs ?? 0)} longer in each direction, for ${duration(fault.forMs)}, ${often}`,
      ];
    case "lost-answer":
      return [`${who} lost the answer to ${REQUESTS[fault.at]}, ${often}`];
    default:
      return fault.action satisfies never;
  }
}

/** When the run's faults happened, by the database's clock, in the order of their starts. */
export const faultTimesOf = ({ workers, serverFaults = [] }: Evidence): FaultTimes =>
  [
    ...workers.flatMap(({ index, final }) => (final?.faultTimes ?? []).map((time) => ({ worker: index, ...time }))),
    ...serverFaults.map(({ name, ...time }) => ({ server: name, ...time })),
  ].sort((a, b) => a.startedAtUs - b.startedAtUs);

/**
 * The longest time without a write that overlaps a fault, seconds; null if there was no fault, or no write on one side of
 * it. A worker knows the clock of the database with an error of some milliseconds, which is larger on a busy
 * machine.
 */
export function measureQuiet(evidence: Evidence): number | null {
  const quietUs = quietTimesUs(evidence);
  return quietUs.length === 0 ? null : quietUs.reduce((longest, us) => Math.max(longest, us), 0) / 1e6;
}

/** The times without a write, each from one write to the next, that overlap a fault, microseconds. */
export function quietTimesUs(evidence: Evidence): number[] {
  const written = evidence.ledger.writtenAtUs.toSorted();
  const times = faultTimesOf(evidence);
  const quiet: number[] = [];
  for (let next = 1; next < written.length; next += 1) {
    const [from, until] = [written[next - 1]!, written[next]!];
    const overlaps = times.some(
      ({ startedAtUs, endedAtUs }) => until >= startedAtUs - CLOCK_SLACK_US && from <= endedAtUs + CLOCK_SLACK_US,
    );
    if (overlaps) quiet.push(until - from);
  }
  return quiet;
}
const CLOCK_SLACK_US = 25_000;

/** How many writes there were before, during, between and after the faults; null if there was no fault. */
export function countAroundFaults(evidence: Evidence): NonNullable<RunReport["faultWrites"]> | null {
  const times = faultTimesOf(evidence);
  if (times.length === 0) return null;
  const startedAtUs = Math.min(...times.map((time) => time.startedAtUs));
  const endedAtUs = Math.max(...times.map((time) => time.endedAtUs));
  const writes = { before: 0, during: 0, between: 0, after: 0 };
  for (const writtenAtUs of evidence.ledger.writtenAtUs) {
    if (writtenAtUs < startedAtUs) writes.before += 1;
    else if (writtenAtUs > endedAtUs) writes.after += 1;
    else if (times.some((time) => writtenAtUs >= time.startedAtUs && writtenAtUs <= time.endedAtUs)) writes.during += 1;
    else writes.between += 1;
  }
  return writes;
}

/** Seconds from the death of a holder to the next write; null where nobody died or nothing was written after it. */
export function measureRecovery({ workers, ledger }: Evidence): number | null {
  const death = workers.find(({ final }) => final?.died)?.final?.endedAtUs;
  if (death === undefined) return null;
  const next = ledger.writtenAtUs.find((writtenAtUs) => writtenAtUs > death);
  return next === undefined ? null : (next - death) / 1e6;
}

const serversOf = ({ link }: Fault) => (link === undefined ? "its servers" : { redis: "Redis", mysql: "MySQL" }[link]);

const REQUESTS: Record<Fault["at"], string> = {
  "before-acquire": "its request for the lock",
  "after-read": "the request after its read",
  "before-write": "its write",
  "before-commit": "its COMMIT",
  "before-release": "its release",
};

const PLACES: Record<Fault["at"], string> = {
  "before-acquire": "before it asked for the lock",
  "before-commit": "just before the COMMIT",
  "before-release": "just before the release",
  "after-read": "between read and write",
  "before-write": "just before the write",
};
