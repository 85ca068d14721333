/** What the errors of Consul mean; see server-errors.ts. */
import { explainSecret, explainTls, partsOf, type Remedy, type Rule } from "../server-errors.ts";

/** What an error of Consul or of the connection to it means; undefined if it says too little. */
export function explainConsul(error: unknown): Remedy | undefined {
  const { message } = partsOf(error);
  const [, , fix, final] = CONSUL_ERRORS.find(([, words]) => words.test(message)) ?? [];
  if (fix !== undefined && final !== undefined) return { fix, final };
  return explainSecret(error) ?? explainTls(error, "CONSUL_TLS", "write http:// in CONSUL_URL");
}

const FINAL = true;
const HEALS = false;

/** In order: the first words that occur decide. */
export const CONSUL_ERRORS: readonly Rule<RegExp>[] = [
  [
    "ACL not found",
    /ACL not found/,
    "correct CONSUL_TOKEN (the SecretID of a token): the server does not know this token",
    FINAL,
  ],
  [
    "anonymous token lacks permission",
    /anonymous token lacks permission/,
    "set CONSUL_TOKEN: the server requires a token",
    FINAL,
  ],
  [
    "Permission denied",
    /Permission denied|lacks permission/,
    "give the token the policy of docs/your-servers.md",
    FINAL,
  ],
  [
    "Invalid Session TTL",
    /Invalid Session TTL/,
    "choose a --lock-ttl between these bounds, or change session_ttl_min of the servers",
    FINAL,
  ],
  [
    "Client sent an HTTP request to an HTTPS server",
    /HTTP request to an HTTPS server/,
    "write https:// in CONSUL_URL",
    FINAL,
  ],
  [
    "No cluster leader",
    /No cluster leader|leadership lost|not the leader|raft apply failed/,
    "wait until the servers have elected a leader: the majority of them must be up",
    HEALS,
  ],
  ["Missing node registration", /Missing node registration/, "wait until the agent has registered its node", HEALS],
  [
    "too many concurrent connections",
    /too many concurrent connections/,
    "raise limits.http_max_conns_per_client of the agent, or use fewer workers",
    HEALS,
  ],
  ["rate limit", /rate limit/i, "raise the limits of the agent, or use fewer workers", HEALS],
];
