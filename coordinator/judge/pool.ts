/** The numbers of several repeats of a run as those of one. Pure. */
import { median } from "simple-statistics";
import type { OwnLockSeen } from "../../worker/contract.ts";
import type { Quantiles, RunReport } from "./report-data.ts";

/**
 * Sums of what is counted, medians of what is measured; a sum of which a part is missing is missing. The checks are those
 * of the repeat that says most: of one that is not as expected, otherwise of one that shows a violation.
 */
export function pool(repeats: readonly RunReport[]): Omit<RunReport, "repeat"> {
  const { repeat: _, servers: __, resolved: ___, ...first } = repeats[0]!;
  const telling =
    repeats.find(({ agreement }) => agreement !== "expected") ??
    repeats.find(({ data }) => data.value === "violated") ??
    repeats[0]!;
  return {
    ...first,
    ...pick(telling, ["checks"]),
    ...numbersOf(repeats),
    operations: counts(repeats.map(({ operations }) => operations)),
    reported: counts(repeats.map(({ reported }) => reported)) ?? first.reported,
    operationSeconds: quantiles(repeats.map(({ operationSeconds }) => operationSeconds)),
    lockWaitSeconds: quantiles(repeats.map(({ lockWaitSeconds }) => lockWaitSeconds)),
    ...(first.ownLock === undefined ? {} : { ownLock: { name: first.ownLock.name, ...poolSeen(repeats) } }),
    ...(first.parts === undefined ? {} : { parts: sumParts(repeats) }),
    ...sumWrites(repeats.flatMap(({ faultWrites }) => faultWrites ?? [])),
    ...sumResolved(repeats.flatMap(({ resolved }) => resolved ?? [])),
    ...(first.faults === undefined ? {} : { faults: unique(repeats.flatMap(({ faults = [] }) => faults)) }),
    errors: mergeErrors(repeats.flatMap(({ errors }) => errors)),
    reconciliation: repeats.flatMap(({ reconciliation }) => reconciliation),
    problems: unique(repeats.flatMap(({ problems, repeat }) => problems.map((text) => `in repeat ${repeat}: ${text}`))),
    notes: unique(repeats.flatMap(({ notes = [] }) => notes)),
  };
}

export const pick = <T, Key extends keyof T>(from: T, keys: readonly Key[]): Pick<T, Key> =>
  Object.fromEntries(keys.map((key) => [key, from[key]])) as Pick<T, Key>;

/** Errors of the same class and outcome as one, the most frequent first. */
export function mergeErrors(errors: readonly RunReport["errors"][number][]): RunReport["errors"] {
  const alike = Map.groupBy(errors, (error) => `${error.class} ${error.outcome}`);
  return [...alike.values()]
    .map((some) => ({ ...some[0]!, count: sum(some.map(({ count }) => count)) }))
    .sort((a, b) => b.count - a.count);
}

/** Several observations of one lock as one: sums of what is counted, the median of the round trips. */
export function sumSeen(seen: readonly OwnLockSeen[]): Omit<OwnLockSeen, "program" | "claims"> {
  const of = (key: "holds" | "tokensGrown" | "lossesTold") => sum(seen.map((one) => one[key]));
  const pingMs = median(seen.map((one) => one.pingMs));
  return { pingMs, holds: of("holds"), tokensGrown: of("tokensGrown"), lossesTold: of("lossesTold") };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function poolSeen(repeats: readonly RunReport[]): Pick<NonNullable<RunReport["ownLock"]>, "seen"> {
  const seen = repeats.flatMap(({ ownLock }) => ownLock?.seen ?? []);
  return seen[0] === undefined ? {} : { seen: { ...seen[0], ...sumSeen(seen) } };
}

function sumResolved(each: readonly NonNullable<RunReport["resolved"]>[]): Pick<RunReport, "resolved"> {
  if (each.length === 0) return {};
  const of = (key: "applied" | "notApplied") => sum(each.map((one) => one[key]));
  return { resolved: { applied: of("applied"), notApplied: of("notApplied") } };
}

function sumWrites(each: readonly NonNullable<RunReport["faultWrites"]>[]): Pick<RunReport, "faultWrites"> {
  if (each.length === 0) return {};
  const of = (key: keyof (typeof each)[number]) => sum(each.map((one) => one[key]));
  return {
    faultWrites: { before: of("before"), during: of("during"), between: of("between"), after: of("after") },
  };
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const unique = (texts: readonly string[]) => [...new Set(texts)];

/** Null where one of them is. */
const sumOrNull = (values: readonly (number | null)[]) =>
  values.some((value) => value === null) ? null : sum(values as readonly number[]);

const medianOrNull = (values: readonly (number | null | undefined)[]) => {
  const known = values.flatMap((value) => value ?? []);
  return known.length === 0 ? null : median(known);
};

function numbersOf(repeats: readonly RunReport[]) {
  const overlaps = repeats.map(({ overlap }) => overlap);
  const recoveries = repeats.map(({ recoverySeconds }) => recoverySeconds);
  const quiet = repeats.flatMap(({ quietSeconds }) => quietSeconds ?? []);
  return {
    seconds: sum(repeats.map(({ seconds }) => seconds)),
    wholeSeconds: sum(repeats.map(({ wholeSeconds }) => wholeSeconds)),
    ledgerRows: sum(repeats.map(({ ledgerRows }) => ledgerRows)),
    naive: sumOrNull(repeats.map(({ naive }) => naive)),
    lostUpdates: sumOrNull(repeats.map(({ lostUpdates }) => lostUpdates)),
    grantedMoney: sumOrNull(repeats.map(({ grantedMoney }) => grantedMoney)),
    lostMoney: sumOrNull(repeats.map(({ lostMoney }) => lostMoney)),
    throughput: medianOrNull(repeats.map(({ throughput }) => throughput)),
    fairness: medianOrNull(repeats.map(({ fairness }) => fairness)),
    overlap: sumOrNull(overlaps) === null ? null : Math.min(...(overlaps as number[])),
    ...(quiet.length === 0 ? {} : { quietSeconds: Math.max(...quiet) }),
    ...(recoveries[0] === undefined ? {} : { recoverySeconds: medianOrNull(recoveries) }),
  };
}

type Counts = RunReport["reported"];

function counts(all: readonly (Counts | null)[]): Counts | null {
  const known = all.flatMap((one) => one ?? []);
  if (known.length < all.length) return null;
  const of = (key: keyof Counts) => sum(known.map((one) => one[key]));
  return { committed: of("committed"), rejected: of("rejected"), unknown: of("unknown") };
}

function quantiles(all: readonly (Quantiles | null)[]): Quantiles | null {
  const known = all.flatMap((one) => one ?? []);
  if (known.length === 0) return null;
  const medians = (["average", "p50", "p95", "p99"] as const).flatMap((key): [string, number][] => {
    const value = medianOrNull(known.map((one) => one[key]));
    return value === null ? [] : [[key, value]];
  });
  return { count: sum(known.map(({ count }) => count)), ...Object.fromEntries(medians) };
}

function sumParts(repeats: readonly RunReport[]): NonNullable<RunReport["parts"]> {
  const parts = Map.groupBy(
    repeats.flatMap(({ parts = [] }) => parts),
    ({ strategy }) => strategy,
  );
  return [...parts.values()].map((some) => {
    const of = (key: "committed" | "rejected" | "staleWrites" | "overwritten") => sum(some.map((part) => part[key]));
    return {
      ...some[0]!,
      committed: of("committed"),
      rejected: of("rejected"),
      staleWrites: of("staleWrites"),
      overwritten: of("overwritten"),
    };
  });
}
