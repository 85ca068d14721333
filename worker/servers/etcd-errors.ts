/** What the errors of etcd mean; see server-errors.ts. */
import { explainSecret, explainTls, partsOf, type Remedy, type Rule } from "../server-errors.ts";

/** Whether etcd refused the login or the request of this user. */
export const isEtcdRefusal = (message: string): boolean =>
  /permission denied|invalid user ID or password|user name is empty|authentication is not enabled/.test(message);

/** What an error of etcd or of the connection to it means; undefined if it says too little. */
export function explainEtcd(error: unknown): Remedy | undefined {
  const { message } = partsOf(error);
  const [, , fix, final] = ETCD_ERRORS.find(([, words]) => words.test(message)) ?? [];
  if (fix !== undefined && final !== undefined) return { fix, final };
  return explainSecret(error) ?? explainTls(error, "ETCD_TLS", "write http:// in ETCD_URL");
}

/** The message of an answer that is not a success; the body of an error has two forms, and a watch a third. */
export function etcdMessage(status: number, text: string): string {
  const parse = () => {
    try {
      return JSON.parse(text) as { error?: string | { message?: string }; result?: { cancel_reason?: string } };
    } catch {
      return {};
    }
  };
  const { error, result } = parse();
  const said = typeof error === "object" ? error.message : (error ?? result?.cancel_reason);
  return `${status} ${said ?? text.trim()}`.slice(0, 200);
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const FINAL = true;
const HEALS = false;

/** In order: the first words that occur decide. */
export const ETCD_ERRORS: readonly Rule<RegExp>[] = [
  [
    "authentication failed",
    /invalid user ID or password/,
    "correct the user in ETCD_URL and its password in ETCD_PASSWORD",
    FINAL,
  ],
  [
    "user name is empty",
    /user name is empty/,
    "name a user in ETCD_URL and its password in ETCD_PASSWORD: the server requires a login",
    FINAL,
  ],
  [
    "authentication is not enabled",
    /authentication is not enabled/,
    "enable it (etcdctl auth enable), or leave the user out of ETCD_URL",
    FINAL,
  ],
  [
    "CommonName of client",
    /CommonName of client/,
    "set ETCD_TLS_CERT to a client certificate without a Common Name: etcd takes no other over its JSON gateway while authentication is on",
    FINAL,
  ],
  ["permission denied", /permission denied/, "give the user the role of docs/your-servers.md", FINAL],
  ["too large lease TTL", /too large lease TTL/, "choose a shorter --lock-ttl", FINAL],
  [
    "database space exceeded",
    /database space exceeded/,
    "compact and defragment it and disarm its alarm, or raise quota-backend-bytes",
    FINAL,
  ],
  ["HTTP request to an HTTPS server", /HTTP request to an HTTPS server/, "write https:// in ETCD_URL", FINAL],
  [
    "404 Not Found",
    /404 (Not Found|404 page not found)/i,
    "use etcd 3.4 or later with its JSON gateway (enable-grpc-gateway), or correct the path in ETCD_URL",
    FINAL,
  ],
  [
    "no leader",
    /no leader|leader changed|request timed out|not (yet )?ready|unhealthy cluster/,
    "wait until the members have elected a leader: the majority of them must be up",
    HEALS,
  ],
  ["too many requests", /too many requests/, "use fewer workers, or a server with a faster disk", HEALS],
  ["invalid auth token", /invalid auth token|auth store is old/, "wait until all members have the same users", HEALS],
];
