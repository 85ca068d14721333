/** The policy and the token of the workers in Consul. */
import * as z from "zod";
import { CONSUL_KEY_PREFIX } from "../../worker/servers/consul.ts";
import type { HttpRequest } from "../../worker/servers/http.ts";
import type { ConsulClient } from "./consul-http.ts";

/** The rules of the workers' policy: the keys of the locks, and sessions on the nodes of these agents. */
export const rulesFor = (nodes: readonly string[]): string =>
  [
    `key_prefix "${CONSUL_KEY_PREFIX}" { policy = "write" }`,
    ...[...new Set(nodes)].map((node) => `session ${JSON.stringify(node)} { policy = "write" }`),
  ].join("\n");

/** Creates the policy, or corrects its rules. Throws ServerError. */
export async function ensurePolicy(admin: ConsulClient, nodes: readonly string[]): Promise<void> {
  const body = { Name: POLICY, Description: "Locks of Holdfast", Rules: rulesFor(nodes) };
  const found = await admin.send({ method: "GET", path: `acl/policy/name/${POLICY}` });
  const id = found.status === 200 ? Identified.safeParse(JSON.parse(found.text)).data?.ID : undefined;
  if (id === undefined) await admin.ask({ method: "PUT", path: "acl/policy", body });
  else await admin.ask({ method: "PUT", path: `acl/policy/${id}`, body: { ...body, ID: id } });
}

/** Creates the token with this SecretID and the policy, unless there is one. Throws ServerError. */
export async function ensureToken(admin: ConsulClient, worker: ConsulClient, secret: string): Promise<void> {
  const self = await worker.send({ method: "GET", path: "acl/token/self" });
  if (self.status === 200) return;
  const body = { SecretID: secret, Description: "Workers of Holdfast", Policies: [{ Name: POLICY }] };
  await admin.ask({ method: "PUT", path: "acl/token", body });
}

/** Throws ServerError unless the token of the workers may do what a lock needs. */
export async function checkRights(worker: ConsulClient): Promise<void> {
  await withSession(worker, async (session) => {
    const { status, text } = await worker.send(lockAndDelete(`${CONSUL_KEY_PREFIX}probe`, session));
    if (status !== 200) throw worker.refusal({ status, text });
  });
}

/** Calls `use` with the ID of a session that ends afterwards. Throws ServerError. */
export async function withSession<T>(worker: ConsulClient, use: (session: string) => Promise<T>): Promise<T> {
  const body = { ...SESSION, TTL: "60s" };
  const text = await worker.ask({ method: "PUT", path: "session/create", body });
  const session = Identified.parse(JSON.parse(text)).ID;
  try {
    return await use(session);
  } finally {
    await worker.send({ method: "PUT", path: `session/destroy/${session}` });
  }
}

/** The body of a session of the coordinator, without its TTL. */
export const SESSION = { Name: "holdfast-check", NodeChecks: [], Behavior: "delete", LockDelay: "0s" } as const;

/** Locks a key that nobody uses, and deletes it at once. */
export const lockAndDelete = (key: string, session: string): HttpRequest => ({
  method: "PUT",
  path: "txn",
  body: [{ KV: { Verb: "lock", Key: key, Session: session, Value: "" } }, { KV: { Verb: "delete", Key: key } }],
});

const POLICY = "holdfast-locks";
const Identified = z.object({ ID: z.string() });
