/** A Redis Cluster for tests, on loopback. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Cluster, RedisOptions } from "ioredis";
import { freePort } from "../../coordinator/platform/local/servers/ports.ts";
import { lockConnectionOptions } from "../../worker/locks/redis-lock.ts";
import { openRedisClient } from "../../worker/servers/redis.ts";
import { clusterNode, startRedis, type TestRedis } from "./redis.ts";

const READY_WITHIN_MS = 10_000;
const SLOTS = 16_384;

export interface TestCluster {
  /** The URL of all nodes, without a login. */
  readonly url: string;
  /** The primaries first; each has an equal part of the slots. */
  readonly nodes: readonly TestRedis[];
  /** Opens a client of the whole cluster, by default as the user `lock`; it is closed with the cluster. */
  connect(user?: string, options?: RedisOptions): Promise<Cluster>;
  /** The node that serves this key now. */
  nodeOf(key: string): Promise<TestRedis>;
  /** Moves the slot of a key, with all its keys, to another node. */
  move(key: string): Promise<void>;
  stop(): Promise<void>;
}

/** Starts three primaries, and one replica of the last of them if `replica` is set. */
export async function startRedisCluster({ replica = false } = {}): Promise<TestCluster> {
  const nodes = await Promise.all(
    Array.from({ length: replica ? 4 : 3 }, async () => {
      const busPort = await freePort();
      const node = await startRedis([
        ...clusterNode(busPort),
        "--cluster-node-timeout",
        "1000",
        "--masteruser",
        "admin",
        "--masterauth",
        "admin",
        "--repl-diskless-sync-delay",
        "0",
      ]);
      return { ...node, busPort, id: String(await node.admin.call("cluster", "MYID")) };
    }),
  );
  const primaries = nodes.slice(0, 3);
  const share = Math.ceil(SLOTS / primaries.length);
  for (const [i, { admin }] of nodes.entries()) {
    await admin.cluster("SET-CONFIG-EPOCH", i + 1);
    if (i < primaries.length)
      await admin.call("cluster", "ADDSLOTSRANGE", i * share, Math.min(SLOTS, (i + 1) * share) - 1);
    if (i > 0) await admin.call("cluster", "MEET", "127.0.0.1", nodes[0]!.port, nodes[0]!.busPort);
  }
  await until("the nodes agree", async () => {
    const states = await Promise.all(nodes.map(({ admin }) => admin.cluster("INFO")));
    return states.every((state) => /cluster_state:ok/.test(state) && state.includes(`known_nodes:${nodes.length}`));
  });
  if (replica) {
    await nodes.at(-1)!.admin.cluster("REPLICATE", primaries.at(-1)!.id);
    await until("the replica is in step", async () =>
      /master_link_status:up/.test(await nodes.at(-1)!.admin.info("replication")),
    );
  }

  const slotOf = (key: string) => nodes[0]!.admin.cluster("KEYSLOT", key);
  async function ownerOf(slot: number) {
    const ranges = await nodes[0]!.admin.cluster("SLOTS");
    const [, , primary] = ranges.find(([from, to]) => from <= slot && slot <= to)!;
    return nodes.find(({ port }) => port === primary?.[1])!;
  }

  const clients: Cluster[] = [];
  const url = `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(",")}`;
  return {
    url,
    nodes,
    async connect(user = "lock", options = {}) {
      const login = { user, password: user };
      const cluster = openRedisClient({ REDIS_URL: url }, login, { ...lockConnectionOptions, ...options }) as Cluster;
      cluster.on("error", () => {});
      clients.push(cluster);
      await cluster.connect();
      return cluster;
    },
    nodeOf: async (key) => ownerOf(await slotOf(key)),
    async move(key) {
      const slot = await slotOf(key);
      const from = await ownerOf(slot);
      const to = primaries[(primaries.indexOf(from) + 1) % primaries.length]!;
      await to.admin.cluster("SETSLOT", slot, "IMPORTING", from.id);
      await from.admin.cluster("SETSLOT", slot, "MIGRATING", to.id);
      const keys = await from.admin.cluster("GETKEYSINSLOT", slot, 1_000);
      const login = ["AUTH2", "admin", "admin"];
      if (keys.length > 0)
        await from.admin.call("migrate", "127.0.0.1", to.port, "", 0, 5_000, ...login, "KEYS", ...keys);
      for (const { admin } of [to, from, ...primaries]) await admin.cluster("SETSLOT", slot, "NODE", to.id);
    },
    async stop() {
      for (const client of clients) client.disconnect();
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

async function until(what: string, look: () => Promise<boolean>) {
  for (const deadline = performance.now() + READY_WITHIN_MS; performance.now() < deadline; await sleep(20)) {
    if (await look()) return;
  }
  throw new Error(`Redis Cluster: not after ${READY_WITHIN_MS} ms: ${what}`);
}
