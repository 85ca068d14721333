/**
 * The loop of a worker with only the mutation: no ledger, no metrics, no heartbeats. The difference to a real worker is
 * the cost of measuring. It gets its spec and servers like a worker; it prints "ready", starts at the first input, and
 * prints how many operations it committed.
 */
import { once } from "node:events";
import { redisConnections } from "../worker/connections.ts";
import { WorkerSpec } from "../worker/contract.ts";
import { WorkerEnvironment } from "../worker/environment.ts";
import { runLoops } from "../worker/loop.ts";
import type { WorkerMetrics } from "../worker/metrics.ts";
import { seededRandom } from "../worker/random.ts";
import { createRows } from "../worker/rows.ts";
import { strategies } from "../worker/strategies/index.ts";

const environment = WorkerEnvironment.parse(process.env);
const spec = WorkerSpec.parse(JSON.parse(environment.HOLDFAST_SPEC));
const index = environment.HOLDFAST_INDEX ?? 0;
const rows = createRows({ server: environment, spec });
const redis = redisConnections(environment);
const random = seededRandom(spec.seed, index);
const session = await strategies[spec.strategy].open({
  spec,
  rows,
  redis: redis.connect,
  redisServers: redis.servers,
  lockServices: environment,
  lockFolder: environment.HOLDFAST_LOCK_FOLDER,
  guestRedisUrl: () => undefined,
  leases: () => undefined,
  worker: index,
  random,
  releaseFailed() {},
  retried() {},
});
const nothing = () => {};
const metrics = {
  operation: nothing,
  error: nothing,
  lockWait: nothing,
  naive: nothing,
  releaseFailed: nothing,
  phase: nothing,
} as unknown as WorkerMetrics;

await rows.read(1);
process.stdout.write("ready\n");
await once(process.stdin, "data");
const never = new AbortController().signal;
const writers = Array.from({ length: spec.concurrency }, (_, loop) => 1 + index * spec.concurrency + loop);
const loops = runLoops({ spec, session, metrics, writers, random, stop: never, abort: never });
await loops.finished;
process.stdout.write(`${loops.result().committed}\n`);
process.exit(0);
