/**
 * A small in-memory API server over HTTP for unit tests, with only the objects and verbs that the coordinator may use.
 */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { KubeConfig } from "@kubernetes/client-node";
import { connectKubernetes, type KubernetesApi } from "../../../coordinator/platform/kubernetes/api.ts";

// biome-ignore lint/suspicious/noExplicitAny: untyped objects from the wire.
export type Wire = any;
export type Kind = "jobs" | "pods" | "configmaps" | "events";

export interface FakeApi extends AsyncDisposable {
  readonly api: KubernetesApi;
  readonly objects: Record<Kind, Map<string, Wire>>;
  /** The requests in order, such as `GET jobs/demo`, with their bodies. */
  readonly requests: { readonly line: string; readonly body: Wire; readonly contentType: string | undefined }[];
  readonly logs: Map<string, string>;
  /** Answers the next `times` requests whose line matches with this status; with status 0, does not answer them. */
  fail(line: RegExp, status: number, message?: string, times?: number): void;
  /** Called after a Job was created, to make its pods. */
  onJob: (job: Wire) => void;
  put(kind: Kind, object: Wire): Wire;
}

export async function startFakeApi(requestTimeoutMs = 5_000): Promise<FakeApi> {
  const objects: FakeApi["objects"] = { jobs: new Map(), pods: new Map(), configmaps: new Map(), events: new Map() };
  const requests: FakeApi["requests"] = [];
  const logs = new Map<string, string>();
  const failures: { line: RegExp; status: number; message: string; times: number }[] = [];

  const server = createServer(async (request, response) => {
    const url = new URL(request.url!, "http://fake");
    const body = await bodyOf(request);
    const [, kind = "", name, sub] = url.pathname.match(/\/namespaces\/demo\/(\w+)(?:\/([^/]+))?(?:\/(\w+))?$/) ?? [];
    const line = [request.method, [kind, name, sub].filter(Boolean).join("/")].join(" ");
    requests.push({ line, body, contentType: request.headers["content-type"] });
    const failure = failures.find((candidate) => candidate.times > 0 && candidate.line.test(line));
    if (failure !== undefined) failure.times--;
    if (failure?.status === 0) return;
    const answer = (status: number, content: Wire) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(typeof content === "string" ? content : JSON.stringify(content));
    };
    const refuse = (status: number, message: string) =>
      answer(status, { kind: "Status", status: "Failure", message, code: status });
    if (failure !== undefined) return refuse(failure.status, failure.message);

    const store = objects[kind as Kind];
    if (store === undefined) return refuse(404, `no such resource: ${line}`);
    if (request.method === "POST") {
      if (/[^a-z0-9-]/.test(body.metadata.generateName ?? ""))
        return refuse(422, "metadata.generateName: Invalid value");
      const created = { ...body, metadata: { ...body.metadata, name: body.metadata.name ?? `e${randomUUID()}` } };
      if (store.has(created.metadata.name)) return refuse(409, `${kind} "${created.metadata.name}" already exists`);
      const stored = fake.put(kind as Kind, created);
      if (kind === "jobs") fake.onJob(stored);
      return answer(201, stored);
    }
    if (name === undefined) {
      const wanted = (url.searchParams.get("labelSelector") ?? "").split(",").filter(Boolean);
      return answer(200, {
        kind: "List",
        metadata: {},
        items: [...store.values()].filter((item) => matches(item, wanted)),
      });
    }
    const object = store.get(name);
    if (object === undefined) return refuse(404, `${kind} "${name}" not found`);
    if (sub === "log")
      return logs.has(name)
        ? answer(200, JSON.stringify(logs.get(name)))
        : refuse(400, "container is waiting to start");
    if (request.method === "PATCH") {
      const { resourceVersion = object.metadata.resourceVersion, labels, annotations } = body.metadata ?? {};
      if (resourceVersion !== object.metadata.resourceVersion)
        return refuse(409, `${kind} "${name}": the object has been modified`);
      // RFC 7386, one level deep: a null removes.
      object.data = body.data === null ? {} : dropNulls({ ...object.data, ...body.data });
      object.binaryData = body.binaryData === null ? {} : dropNulls({ ...object.binaryData, ...body.binaryData });
      object.metadata.labels = dropNulls({ ...object.metadata.labels, ...labels });
      object.metadata.annotations = dropNulls({ ...object.metadata.annotations, ...annotations });
      object.metadata.resourceVersion = String(Number(resourceVersion) + 1);
      return answer(200, object);
    }
    if (request.method === "DELETE") remove(kind as Kind, name, body?.propagationPolicy);
    return answer(200, object);
  });

  function remove(kind: Kind, name: string, policy: string | undefined) {
    const uid = objects[kind].get(name)?.metadata.uid;
    objects[kind].delete(name);
    if (policy !== "Background" && policy !== "Foreground") return;
    for (const dependents of ["jobs", "pods"] as const)
      for (const [dependent, object] of objects[dependents])
        if (object.metadata.ownerReferences?.some((owner: Wire) => owner.uid === uid))
          remove(dependents, dependent, policy);
  }

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    { name: "fake", server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, skipTLSVerify: true },
    { name: "fake" },
  );
  const fake: FakeApi = {
    api: connectKubernetes(config, requestTimeoutMs),
    objects,
    requests,
    logs,
    onJob: () => {},
    fail: (line, status, message = "no", times = 1) => void failures.push({ line, status, message, times }),
    put(kind, object) {
      const metadata = { uid: randomUUID(), namespace: "demo", resourceVersion: "1", ...object.metadata };
      const stored = { ...object, metadata };
      objects[kind].set(stored.metadata.name, stored);
      return stored;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
  return fake;
}

function matches(item: Wire, wanted: readonly string[]): boolean {
  const labels = item.metadata.labels ?? {};
  return wanted.every((term) => {
    const [key = "", value] = term.split("=");
    return value === undefined ? key in labels : labels[key] === value;
  });
}

const dropNulls = (data: Record<string, string | null>) =>
  Object.fromEntries(Object.entries(data).filter(([, value]) => value !== null));

async function bodyOf(request: IncomingMessage): Promise<Wire> {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text === "" ? undefined : JSON.parse(text);
}
