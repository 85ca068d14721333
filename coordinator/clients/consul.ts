/** The coordinator's side of Consul. */
import * as z from "zod";
import { type ConsulVariables, consulAccess, openConsul } from "../../worker/servers/consul.ts";
import { checkRights, ensurePolicy, ensureToken, SESSION } from "./consul-account.ts";
import { consulClient } from "./consul-http.ts";
import { probeConsul } from "./consul-probes.ts";
import type { LockServiceClient } from "./lock-service-client.ts";

/** Throws an Error in one line that names the variable. Opens no connection yet. */
export function createConsulClient(variables: ConsulVariables): LockServiceClient {
  const access = consulAccess(variables);
  const worker = consulClient(openConsul(access, access.token), "CONSUL_TOKEN");
  const admin = access.admin && consulClient(openConsul(access, access.admin), "CONSUL_ADMIN_TOKEN");

  /** The name of the node of one of the hosts. The sessions that are created through it belong to that node. */
  async function nodeName(base: URL): Promise<string> {
    const one = consulClient(openConsul({ ...access, bases: [base] }, access.admin), "CONSUL_ADMIN_TOKEN");
    try {
      return Self.parse(JSON.parse(await one.ask({ method: "GET", path: "agent/self" }))).Config.NodeName;
    } finally {
      one.close();
    }
  }

  return {
    async check() {
      const leader = await worker.ask({ method: "GET", path: "status/leader" });
      if (leader.trim() === '""') throw worker.refusal({ status: 500, text: "No cluster leader" });
      // Needs a right that the workers do not have.
      const answer = await (admin ?? worker).send({ method: "GET", path: "agent/self" });
      if (answer.status === 200) return `Consul ${Self.parse(JSON.parse(answer.text)).Config.Version}`;
      if (answer.status !== 403) throw (admin ?? worker).refusal(answer);
      if (admin !== undefined) throw admin.refusal(answer);
      return "Consul (its token may not read the version)";
    },
    async prepare() {
      const token = await access.token?.read();
      if (admin !== undefined && token !== undefined) {
        await ensurePolicy(admin, await Promise.all(access.bases.map(nodeName)));
        await ensureToken(admin, worker, token);
      }
      await checkRights(worker);
    },
    probes: async () => (access.token === undefined ? [] : probeConsul(worker)),
    async shortestTtlMs() {
      // Below every limit, so the answer names the limit.
      const body = { ...SESSION, TTL: "1ns" };
      const answer = await worker.send({ method: "PUT", path: "session/create", body });
      const [, shortest] = /must be between \[(\S+?)=/.exec(answer.text) ?? [];
      if (shortest === undefined) throw worker.refusal(answer);
      return toMs(shortest);
    },
    close() {
      worker.close();
      admin?.close();
    },
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const Self = z.object({ Config: z.object({ Version: z.string(), NodeName: z.string() }) });

const UNITS_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** Parses a duration as Go prints it, such as `1m30s` or `2.5ms`. */
const toMs = (duration: string): number =>
  [...duration.matchAll(/([\d.]+)(ns|µs|ms|s|m|h)/g)].reduce(
    (total, [, count, unit]) => total + Number(count) * UNITS_MS[unit!]!,
    0,
  );
