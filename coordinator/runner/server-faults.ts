/** Makes the faults of the servers of one run, at their times. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "../clients/mysql.ts";
import type { ServerFaultTime } from "../judge/evidence.ts";
import type { RunPlan } from "../plan/run-plan.ts";
import { type MakeFault, SERVER_BACK_WITHIN_MS } from "../platform/platform.ts";

export interface ServerFaults {
  /** When they happened. */
  readonly times: readonly ServerFaultTime[];
  /**
   * How much later than planned the operations end, milliseconds, at most `delayMsMax`: each fault is followed by as much
   * time as the plan leaves after its last repetition, however long it takes the servers to come back.
   */
  delayMs(): number;
  readonly delayMsMax: number;
  /** Reads the database's clock, which nobody may be able to read during a fault. Throws ServerError. */
  prepare(): Promise<void>;
  /** Makes the faults; the operations begin `inMs` from now. */
  begin(inMs: number): void;
  /** Begins no further one. Resolves when the last one is over and the servers are as before. */
  end(): Promise<void>;
}

/** What could not be made is added to `problems`. */
export function createServerFaults(
  { serverFaults = [], run, durationMs }: RunPlan,
  { database, makeFault }: { readonly database: Pick<Database, "nowUs">; readonly makeFault?: MakeFault | undefined },
  problems: string[],
): ServerFaults {
  const times: ServerFaultTime[] = [];
  const ending = new AbortController();
  let offsetUs = 0;
  let made: Promise<unknown> = Promise.resolve();
  let last: Promise<unknown> = Promise.resolve();
  let plannedEndMs = Number.POSITIVE_INFINITY;
  /** That of the faults which are over. */
  let delayMs = 0;
  /** The time that is left after the fault that is being made. */
  let restMs: number | undefined;
  const delayAfter = (ms: number) =>
    Math.min(SERVER_BACK_WITHIN_MS, Math.max(delayMs, performance.now() + ms - plannedEndMs));
  const nowUs = () => performance.now() * 1_000 + offsetUs;

  /** One after the other: a fault that cuts all clients off a server would also cut off one that is being made of it. */
  function inTurn(work: () => Promise<void>): Promise<void> {
    const end = last.then(work);
    last = end.catch(() => {});
    return end;
  }

  async function make(fault: NonNullable<RunPlan["serverFaults"]>[number], startMs: number) {
    const { name, afterMs, everyMs, forMs } = fault;
    const plannedRestMs = Math.max(0, durationMs - afterMs - (fault.times - 1) * everyMs - forMs);
    for (let time = 1; time <= fault.times; time += 1) {
      const dueMs = startMs + afterMs + (time - 1) * everyMs;
      await sleep(Math.max(0, dueMs - performance.now()), undefined, { signal: ending.signal }).catch(() => {});
      if (ending.signal.aborted) break;
      try {
        if (makeFault === undefined) throw new Error("nothing makes it here");
        await inTurn(async () => {
          if (ending.signal.aborted) return;
          const startedAtUs = nowUs();
          restMs = plannedRestMs;
          try {
            await makeFault(fault, { run, time, over: ending.signal });
            times.push({ name, startedAtUs, endedAtUs: nowUs() });
            delayMs = delayAfter(plannedRestMs);
          } finally {
            restMs = undefined;
          }
        });
      } catch (error) {
        if (ending.signal.aborted && (error as Error).name === "AbortError") break;
        problems.push(`the fault ${name} could not be made: ${error instanceof Error ? error.message : error}`);
        return;
      }
    }
    if (!times.some((time) => time.name === name))
      problems.push(`the fault ${name} never happened: the run ended before its time`);
  }

  return {
    times,
    delayMsMax: serverFaults.length === 0 ? 0 : SERVER_BACK_WITHIN_MS,
    delayMs: () => (restMs === undefined ? delayMs : delayAfter(restMs)),
    async prepare() {
      if (serverFaults.length === 0) return;
      const askedMs = performance.now();
      const databaseUs = await database.nowUs();
      offsetUs = databaseUs - ((askedMs + performance.now()) / 2) * 1_000;
    },
    begin(inMs) {
      const startMs = performance.now() + inMs;
      plannedEndMs = startMs + durationMs;
      made = Promise.all(serverFaults.map((fault) => make(fault, startMs)));
    },
    async end() {
      ending.abort();
      await made;
    },
  };
}
