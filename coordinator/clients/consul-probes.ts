/** What Consul must refuse the token of the workers, tried on real requests. */
import * as z from "zod";
import type { HttpAnswer, HttpRequest } from "../../worker/servers/http.ts";
import type { AclProbe } from "../judge/report-data.ts";
import { oneLine } from "../text/format.ts";
import { lockAndDelete, SESSION, withSession } from "./consul-account.ts";
import type { ConsulClient } from "./consul-http.ts";

/** Throws ServerError when Consul is unreachable. */
export const probeConsul = (worker: ConsulClient): Promise<AclProbe[]> =>
  withSession(worker, (session) =>
    Promise.all(
      attempts(session).map(async ({ attempt, request, undo }) => {
        const answer = await worker.send(request);
        const outcome = outcomeOf(answer);
        if (answer.status === 200 && undo !== undefined) await worker.send(undo(answer));
        return { service: "consul" as const, user: "workers", attempt, outcome, answer: describe(answer) };
      }),
    ),
  );

// --- Internal helpers -----------------------------------------------------------------------------------------------

interface Attempt {
  readonly attempt: string;
  readonly request: HttpRequest;
  /** What removes the result, if the server allowed it. */
  readonly undo?: (answer: HttpAnswer) => HttpRequest;
}

/** A key and a node that the workers may not use. */
const FOREIGN = "holdfast-probe";

/** Each is harmless, or is undone, if it is allowed. */
function attempts(session: string): readonly Attempt[] {
  const get = (path: string): Attempt => ({ attempt: `GET ${path}`, request: { method: "GET", path } });
  return [
    get(`kv/${FOREIGN}`),
    // With cas, nothing is written or deleted unless the key has this index.
    { attempt: `PUT kv/${FOREIGN}`, request: { method: "PUT", path: `kv/${FOREIGN}?cas=1`, body: "" } },
    { attempt: `DELETE kv/${FOREIGN}`, request: { method: "DELETE", path: `kv/${FOREIGN}?cas=1` } },
    { attempt: `lock ${FOREIGN}`, request: lockAndDelete(FOREIGN, session) },
    {
      attempt: "create a session of another node",
      request: { method: "PUT", path: "session/create", body: { ...SESSION, Node: FOREIGN, TTL: "60s" } },
    },
    get("acl/tokens"),
    get("acl/policies"),
    {
      attempt: "create a token",
      request: { method: "PUT", path: "acl/token", body: { Description: "probe", ExpirationTTL: "60s" } },
      undo: ({ text }) => ({ method: "DELETE", path: `acl/token/${Token.parse(JSON.parse(text)).AccessorID}` }),
    },
    get("agent/self"),
    get("operator/raft/configuration"),
    get("snapshot"),
    {
      attempt: "register a node",
      request: { method: "PUT", path: "catalog/register", body: { Node: FOREIGN, Address: "127.0.0.1" } },
      undo: () => ({ method: "PUT", path: "catalog/deregister", body: { Node: FOREIGN } }),
    },
  ];
}

const Token = z.object({ AccessorID: z.string() });

/** Consul checks the right first, so an answer about anything else means that the token may make the request. */
function outcomeOf({ status, text }: HttpAnswer): AclProbe["outcome"] {
  if (status === 401 || status === 403 || /Permission denied/.test(text)) return "refused";
  return status === 429 || /No cluster leader|raft apply failed/.test(text) ? "unanswered" : "allowed";
}

/** The refusal itself: the envelope, and the ID of the token, which differs from run to run, say nothing. */
function describe({ status, text }: HttpAnswer): string {
  const [refusal = `${status} ${text}`] = /Permission denied.*?lacks permission '[^']+'/.exec(text) ?? [];
  return oneLine(refusal.replace(/ with AccessorID '[^']+'/, "")).slice(0, 200);
}
