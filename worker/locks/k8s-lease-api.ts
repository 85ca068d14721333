import { existsSync, readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import type { LeaseApi, LeaseObject } from "./k8s-lease-lock.ts";
import { LockDenied, LockUnreachable, messageOf } from "./lock.ts";

export interface LeaseApiOptions {
  /** https://host:port of the API server. */
  readonly url: string;
  readonly namespace: string;
  /** Called for each request, because Kubernetes replaces the token while a pod runs. */
  readonly token: () => string;
  /** Certificate authority of the API server, PEM. */
  readonly ca: string;
  /** Owner of the Lease objects: Kubernetes deletes them together with it. */
  readonly owner?: { readonly apiVersion: string; readonly kind: string; readonly name: string; readonly uid: string };
  readonly timeoutMs?: number;
}

/** Where Kubernetes mounts the service account of a pod that has one. */
const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Reads address and credentials of the API server in a pod; undefined in a pod without a service account. */
export function accountOfPod(host: string, port: string): Omit<LeaseApiOptions, "owner" | "timeoutMs"> | undefined {
  if (!existsSync(ACCOUNT)) return undefined;
  const file = (name: string) => readFileSync(`${ACCOUNT}/${name}`, "utf8").trim();
  const url = `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
  return { url, ca: file("ca.crt"), namespace: file("namespace"), token: () => file("token") };
}

/** Makes the few requests that a lock needs. The API client of the coordinator is many times larger than a worker. */
export function connectLeases(options: LeaseApiOptions): LeaseApi {
  const { url, namespace, token, ca, owner, timeoutMs = 5_000 } = options;
  const agent = new Agent({ keepAlive: true, ca });
  const base = `${url}/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;

  async function ask(method: string, target: string, lease?: LeaseObject): Promise<LeaseObject | undefined> {
    const doing = `${method} ${new URL(target).pathname}`;
    const { status, text } = await send(method, target, lease).catch((error) => {
      throw new LockUnreachable(`the API server at ${url} did not answer ${doing}: ${messageOf(error)}`, {
        cause: error,
      });
    });
    if (status === 404 || status === 409) return undefined;
    if (status === 401 || status === 403)
      throw new LockDenied(
        `the API server refuses ${doing} (${status}); allow this service account create, get and update of leases`,
      );
    if (status >= 300)
      throw new LockUnreachable(`the API server answered ${doing} with ${status}: ${text.slice(0, 200)}`);
    return JSON.parse(text) as LeaseObject;
  }

  function send(method: string, target: string, lease?: LeaseObject): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${token()}`, "content-type": "application/json" };
      const sent = request(target, { agent, method, timeout: timeoutMs, headers }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part) => {
          text += part;
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text })).on("error", reject);
      });
      sent.on("timeout", () => sent.destroy(new Error(`no answer within ${timeoutMs} ms`))).on("error", reject);
      sent.end(lease === undefined ? undefined : JSON.stringify(lease));
    });
  }

  const whole = (lease: LeaseObject) => ({ apiVersion: "coordination.k8s.io/v1", kind: "Lease", ...lease });
  return {
    read: (name) => ask("GET", `${base}/${name}`),
    create: ({ metadata, spec }) =>
      ask("POST", base, whole({ metadata: { ...metadata, ...(owner && { ownerReferences: [owner] }) }, spec })),
    replace: (lease) => ask("PUT", `${base}/${lease.metadata.name}`, whole(lease)),
  };
}
