/** Injects the faults of the run's spec, each at its place in an operation. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Failpoint, type Fault, LINKS } from "./contract.ts";
import type { Employee, Rows, Transaction } from "./rows.ts";
import type { Network } from "./servers/network.ts";
import type { Session } from "./strategy.ts";
import type { FaultTime } from "./tally.ts";

export interface FailpointOptions {
  readonly faults: readonly Fault[];
  /** Index of this worker in the fleet. */
  readonly index: number;
  /** Time since the loops started; undefined before that. */
  readonly elapsedMs: () => number | undefined;
  /** Between this worker and its servers, for the faults of the network. */
  readonly network?: Network | undefined;
  /** Reaches the program of a user's own lock, which a stall of the worker alone would not. */
  readonly signalProgram?: ((signal: "SIGSTOP" | "SIGCONT") => void) | undefined;
  /** Called each time before a fault happens. */
  readonly onFault: (time: FaultTime) => void;
  /** Reports what this worker did and ends the process. Gets the employee that the operation read, if there is one. */
  readonly die: (employee?: Employee) => Promise<never>;
}

/** Rows and sessions with the failpoints in them, so that a strategy needs no code for faults. */
export interface Failpoints {
  inRows(rows: Rows): Rows;
  inSession(session: Session): Session;
}

export function createFailpoints(options: FailpointOptions): Failpoints {
  const reach = failpoints(options);
  return {
    inRows: (rows) => rowsWith(reach, rows),
    inSession: (session) => ({
      ...session,
      async mutate(operation) {
        await reach("before-acquire");
        return session.mutate(operation);
      },
    }),
  };
}

/** Whether this worker's connections must be made so that the network between them and their servers can fail. */
export const needsNetwork = (faults: readonly Fault[], index: number): boolean =>
  faults.some((fault) => isNetworkFault(fault) && happensTo(fault, index));

// --- Internal helpers -----------------------------------------------------------------------------------------------

type Reach = (place: Failpoint, employee?: Employee) => Promise<void>;

const isNetworkFault = ({ action }: Fault) =>
  action === "partition" || action === "slow-network" || action === "lost-answer";

const happensTo = ({ worker }: Fault, index: number) => worker === undefined || worker === index;

function rowsWith(reach: Reach, rows: Rows): Rows {
  const inTransaction = (transaction: Transaction): Transaction => ({
    ...transaction,
    async read(employeeId, lock) {
      const employee = await transaction.read(employeeId, lock);
      await reach("after-read", employee);
      return employee;
    },
    async write(...write) {
      await reach("before-write", write[1]);
      return transaction.write(...write);
    },
    async add(...add) {
      await reach("before-write");
      return transaction.add(...add);
    },
  });
  /** The last request of a transaction commits it. */
  const inside =
    <T>(body: (transaction: Transaction) => Promise<T>) =>
    async (transaction: Transaction) => {
      const result = await body(inTransaction(transaction));
      await reach("before-commit");
      return result;
    };
  const released = async <T>(committed: Promise<T>) => {
    const result = await committed;
    await reach("before-release");
    return result;
  };
  return {
    ...rows,
    async read(employeeId) {
      const employee = await rows.read(employeeId);
      await reach("after-read", employee);
      return employee;
    },
    async write(...write) {
      await reach("before-write", write[1]);
      await reach("before-commit", write[1]);
      return released(rows.write(...write));
    },
    transaction: (body) => released(rows.transaction(inside(body))),
    connection: (body) =>
      rows.connection((connection) =>
        body({ ...connection, transaction: (then) => released(connection.transaction(inside(then))) }),
      ),
  };
}

/** All failpoints of this worker. */
function failpoints({ faults, index, ...options }: FailpointOptions): Reach {
  const reaches = faults.filter((fault) => happensTo(fault, index)).map((fault) => failpoint(fault, options));
  return async (place, employee) => {
    for (const reach of reaches) await reach(place, employee);
  };
}

type Effects = Omit<FailpointOptions, "faults" | "index">;

function failpoint(fault: Fault, effects: Effects): Reach {
  const { at, afterMs, every, times = Number.POSITIVE_INFINITY } = fault;
  let passed = 0;
  let happened = 0;
  let lastsUntil = 0;
  return async (place, employee) => {
    const elapsed = effects.elapsedMs();
    if (place !== at || elapsed === undefined || elapsed < afterMs) return;
    // Operations go on while a fault of the network lasts.
    if (isNetworkFault(fault) && performance.now() < lastsUntil) return;
    passed += 1;
    if (passed % every !== 0 || happened >= times) return;
    happened += 1;
    const fromMs = performance.now();
    lastsUntil = fromMs + fault.forMs;
    await act(fault, effects, { fromMs, untilMs: lastsUntil }, employee);
  };
}

async function act(
  fault: Fault,
  { network, signalProgram, onFault, die }: Effects,
  time: FaultTime,
  employee?: Employee,
): Promise<void> {
  const links = fault.link === undefined ? LINKS : [fault.link];
  // An answer is lost only when it arrives.
  if (fault.action !== "lost-answer") onFault(time);
  switch (fault.action) {
    case "sleep":
      await sleep(fault.forMs);
      return;
    case "stall":
      signalProgram?.("SIGSTOP");
      stall(fault.forMs);
      signalProgram?.("SIGCONT");
      return;
    case "die":
      return die(employee);
    case "partition":
      for (const link of links) network?.partition(link, fault.forMs);
      return;
    case "slow-network":
      for (const link of links) network?.slow(link, fault.delayMs ?? 0, fault.forMs);
      return;
    case "lost-answer":
      for (const link of links)
        network?.loseAnswer(link, () => onFault({ fromMs: performance.now(), untilMs: performance.now() }));
      return;
    default:
      fault.action satisfies never;
      throw new Error(`unknown fault action ${fault.action}`);
  }
}

/** Blocks the thread, so that no timer fires and no answer is read. */
function stall(ms: number) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
