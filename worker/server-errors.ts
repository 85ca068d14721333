/**
 * What the errors of Redis, MySQL and ZooKeeper mean, and what to do about them. Worker and coordinator share this list, so that
 * both retry the same errors and end at once on the same errors.
 */
import { REDIS_USERS } from "./contract.ts";

export interface Remedy {
  /** What to change, as the last clause of a message. */
  readonly fix: string;
  /** Whether waiting cannot help. */
  readonly final: boolean;
  /** Replaces the message of the server or of the driver, where that is misleading. */
  readonly reason?: string | undefined;
}

/**
 * Whether Redis refused the login or the command. The messages of refusals in scripts differ between Redis 7.0 and 7.2;
 * servers before version 6 and proxies have two further messages.
 */
export const isRefusal = (message: string): boolean =>
  /\b(NOPERM|NOAUTH|WRONGPASS)\b|user executing the script can't|ACL failure in script|ERR (operation not permitted|invalid password)/.test(
    message,
  );

/**
 * Whether Redis ran the command as far as its arguments with this error: it checks the permission first. Errors of any
 * other kind (an unknown command, a proxy that blocks it, a cluster that redirects it) do not show what the user may do.
 */
export const isComplaintAboutArguments = (message: string): boolean =>
  /syntax error|wrong number of arguments|only support SYNC|invalid (first|second) DB index|DB index is out of range|not an integer|without any password/i.test(
    message,
  );

/** What an error of Redis or of the connection to it means for this user; undefined if it says too little. */
export function explainRedis(error: unknown, user = "default"): Remedy | undefined {
  const { message } = partsOf(error);
  // The last error that such a message contains is that of a Sentinel, which has passwords of its own.
  if (isRefusal(message) && !SENTINELS.test(message)) return { fix: fixRefusal(message, user), final: true };
  const [, , fix, final] = REDIS_ERRORS.find(([, words]) => words.test(message)) ?? [];
  if (fix !== undefined && final !== undefined) return { fix, final };
  return explainSecret(error) ?? explainTls(error, "REDIS_TLS", "write redis:// in place of rediss://");
}

/** What an error of MySQL or of its driver means; undefined if it says too little. */
export function explainMysql(error: unknown): Remedy | undefined {
  const { code, errno, message } = partsOf(error);
  const plugin = /unknown plugin (\S+?)\. /.exec(message)?.[1];
  if (plugin !== undefined)
    return {
      reason: `the account uses the authentication plugin ${plugin}, which this program does not support`,
      fix: "let the account use mysql_native_password (MariaDB) or caching_sha2_password (MySQL): ALTER USER ... IDENTIFIED",
      final: true,
    };
  const isThis = (key: number | string | RegExp) =>
    typeof key === "object" ? key.test(message) : key === errno || key === code;
  const [, , fix, final] = MYSQL_ERRORS.find(([, key]) => isThis(key)) ?? [];
  if (fix !== undefined && final !== undefined) return { fix, final };
  return (
    explainSecret(error) ?? explainTls(error, "MYSQL_TLS", "give the server a certificate, or connect without TLS")
  );
}

/** What an error of ZooKeeper or of the connection to it means; undefined if it says too little. */
export function explainZooKeeper(error: unknown): Remedy | undefined {
  const { code } = partsOf(error);
  const [, , fix, final] = ZOOKEEPER_ERRORS.find(([, key]) => key === code) ?? [];
  if (fix !== undefined && final !== undefined) return { fix, final };
  return explainSecret(error) ?? explainTls(error, "ZOOKEEPER_TLS", "leave out the ZOOKEEPER_TLS variables");
}

/** The errors of OpenSSL, whichever server caused them; `variables` is the prefix of the variables that help. */
export function explainTls(error: unknown, variables: string, plain: string): Remedy | undefined {
  const { code, message } = partsOf(error);
  const text = `${code} ${message}`;
  const [, fix, final = FINAL] = TLS_ERRORS.find(([words]) => words.test(text)) ?? [];
  if (fix === undefined)
    return code === "HANDSHAKE_SSL_ERROR" ? { fix: "compare the TLS settings of both sides", final: true } : undefined;
  return { fix: fix.replaceAll("TLS_", `${variables}_`).replace("PLAIN", plain), final };
}

/** What the error of servers/secrets.ts means. */
export const explainSecret = (error: unknown): Remedy | undefined =>
  error instanceof Error && error.name === "SecretUnreadable"
    ? { fix: "correct the file, or run the command by hand to see why it fails", final: true }
    : undefined;

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** The name of the error in docs/errors.md, how to recognize it, what to do, and whether waiting cannot help. */
export type Rule<Key> = readonly [name: string, key: Key, fix: string, final: boolean];

const FINAL = true;
const HEALS = false;

const SENTINELS = /All sentinels are unreachable/;
const PRIMARY = "use the address of the primary in REDIS_URL";
const NO_CLUSTER = "write redis+cluster://host:port for a Redis Cluster: one of its nodes has only some of the keys";

/** In order: the first words that occur decide. The error of a script contains the error of its command. */
export const REDIS_ERRORS: readonly Rule<RegExp>[] = [
  [
    "All sentinels are unreachable",
    SENTINELS,
    "correct the Sentinels in REDIS_URL, the name of the primary (SENTINEL MASTERS) and REDIS_SENTINEL_PASSWORD",
    HEALS,
  ],
  ["READONLY", /\bREADONLY\b/, PRIMARY, FINAL],
  ["MASTERDOWN", /\bMASTERDOWN\b/, PRIMARY, FINAL],
  [
    "MISCONF",
    /\bMISCONF\b/,
    "the server cannot save to its disk: free space there or correct its folder, or set stop-writes-on-bgsave-error no",
    FINAL,
  ],
  ["OOM", /\bOOM\b/, "its memory is full: raise maxmemory, or use a Redis that nobody else fills", FINAL],
  ["NOREPLICAS", /\bNOREPLICAS\b/, "start its replicas, or lower min-replicas-to-write", HEALS],
  ["MOVED", /\b(MOVED|ASK) \d+/, NO_CLUSTER, FINAL],
  ["CROSSSLOT", /\bCROSSSLOT\b/, NO_CLUSTER, FINAL],
  [
    "CLUSTERDOWN",
    /\b(CLUSTERDOWN|TRYAGAIN)\b/,
    "the cluster does not serve all of its slots: start its nodes, or wait for the failover to end",
    HEALS,
  ],
  [
    "cluster support disabled",
    /cluster support disabled/,
    "write redis:// in REDIS_URL: this Redis is not in cluster mode",
    FINAL,
  ],
  ["LOADING", /\bLOADING\b/, "wait until it has loaded its data", HEALS],
  ["BUSY", /\bBUSY\b/, "wait until the script has ended, or end it with SCRIPT KILL", HEALS],
  [
    "DENIED",
    /\bDENIED\b.*protected mode/,
    "it accepts only local clients: give it a password (requirepass or users), or set protected-mode no",
    FINAL,
  ],
  ["max number of clients", /max number of clients/, "raise maxclients, or use fewer workers", HEALS],
  [
    "unknown command",
    /unknown (sub)?command|unsupported command|invalid command|command (\S+ )?is not allowed/i,
    "the server is older than Redis 7, or it or a proxy has renamed or blocked this command: allow it (helm/files/users.acl lists what each user needs)",
    FINAL,
  ],
];

const LOGIN =
  "correct user and password in MYSQL_URL or MYSQL_PASSWORD; the server gives the same answer if the account is for another host or, in MariaDB, if it requires TLS (MYSQL_TLS=required)";
const SCHEMA = "load helm/files/schema.sql into this database";
const RIGHTS = "grant the user SELECT, INSERT, UPDATE and DELETE on the tables of helm/files/schema.sql";
const WRITABLE = "use the address of the primary in MYSQL_URL, or make this server writable";
const PASSWORD = "give the account a new password: ALTER USER ... IDENTIFIED BY ...";
const DISK = "free space on the disk of the server";

/** By number, because the driver gives the names of MySQL to the numbers of MariaDB; or by the driver's own code. */
export const MYSQL_ERRORS: readonly Rule<number | string | RegExp>[] = [
  ["1045 access denied", 1045, LOGIN, FINAL],
  [
    "1698 access denied",
    1698,
    "use an account with a password: this one logs in by its operating-system user (unix_socket, auth_socket)",
    FINAL,
  ],
  [
    "1044 access denied to a database",
    1044,
    "correct the database in MYSQL_URL, or create it, load helm/files/schema.sql and grant the user rights on it",
    FINAL,
  ],
  ["1049 unknown database", 1049, "create the database and load helm/files/schema.sql", FINAL],
  ["1046 no database", 1046, "write the database at the end of MYSQL_URL: mysql://user@host:3306/database", FINAL],
  ["1146 no such table", 1146, SCHEMA, FINAL],
  ["1054 unknown column", 1054, SCHEMA, FINAL],
  ["1364 no default value", 1364, SCHEMA, FINAL],
  ["1142 command denied", 1142, RIGHTS, FINAL],
  ["1143 command denied for a column", 1143, RIGHTS, FINAL],
  ["1227 privilege missing", 1227, "grant the user the privilege that the server names", FINAL],
  ["3118 account locked", 3118, "unlock it: ALTER USER ... ACCOUNT UNLOCK", FINAL],
  ["4151 account locked", /account is locked/, "unlock it: ALTER USER ... ACCOUNT UNLOCK", FINAL],
  ["1820 password expired", 1820, PASSWORD, FINAL],
  ["1862 password expired", 1862, PASSWORD, FINAL],
  ["1130 host not allowed", 1130, "create the account for the host that connects, for example 'holdfast'@'%'", FINAL],
  [
    "1129 host blocked",
    1129,
    "it had too many failed connections: unblock it with FLUSH HOSTS (MariaDB) or TRUNCATE TABLE performance_schema.host_cache (MySQL)",
    FINAL,
  ],
  ["3159 TLS required", 3159, "set MYSQL_TLS=required", FINAL],
  ["1290 read-only", /--(super-|innodb-)?read-only/, WRITABLE, FINAL],
  ["1836 read-only", 1836, WRITABLE, FINAL],
  ["1792 read-only transaction", 1792, `${WRITABLE} (tx_read_only, transaction_read_only)`, FINAL],
  ["1153 packet too large", 1153, "raise max_allowed_packet of the server to 1M", FINAL],
  ["1021 disk full", 1021, DISK, FINAL],
  ["1114 table full", 1114, DISK, FINAL],
  [
    "1665 binary log by statement",
    1665,
    "set binlog_format=ROW or MIXED, or the isolation level REPEATABLE READ (transaction_isolation)",
    FINAL,
  ],
  [
    "1047 WSREP has not yet prepared node",
    /WSREP has not yet prepared/,
    "wait until this node of the Galera cluster is synced, or use another node",
    HEALS,
  ],
  ["1040 too many connections", 1040, "raise max_connections, or use fewer workers", HEALS],
  ["1203 too many connections", 1203, "raise max_user_connections, or use fewer workers", HEALS],
  ["1226 limit of the user", 1226, "raise the limit of the user that the server names, or use fewer workers", HEALS],
  ["1053 shutdown", 1053, "wait until it has started again", HEALS],
  ["no TLS", "HANDSHAKE_NO_SSL_SUPPORT", "give the server a certificate, or connect without TLS", FINAL],
];

/** By the name of the code in the Java client. */
export const ZOOKEEPER_ERRORS: readonly Rule<string>[] = [
  [
    "NoAuth",
    "NoAuth",
    "correct the user in ZOOKEEPER_URL and ZOOKEEPER_PASSWORD, or give this user rights on the node (docs/your-servers.md)",
    FINAL,
  ],
  ["AuthFailed", "AuthFailed", "let the server accept logins by digest", FINAL],
  ["InvalidACL", "InvalidACL", "name a user in ZOOKEEPER_URL that the server accepts", FINAL],
  [
    "NoNode",
    "NoNode",
    "create the node of the locks (docs/your-servers.md), or correct the path in ZOOKEEPER_URL",
    FINAL,
  ],
  ["Unimplemented", "Unimplemented", "use ZooKeeper 3.6 or later", FINAL],
  ["QuotaExceeded", "QuotaExceeded", "raise the quota of the node of the locks", FINAL],
  ["ThrottledOp", "ThrottledOp", "use fewer workers, or raise the limits of the server for requests", HEALS],
];

function fixRefusal(message: string, user: string): string {
  const isOwn = REDIS_USERS.some((name) => name === user);
  if (/NOPERM|user executing|ACL failure/.test(message))
    return `compare the user's rules with helm/files/users.acl (ACL GETUSER ${user})`;
  if (isOwn) return `give the user's password in REDIS_PASSWORD_${user.toUpperCase()}`;
  return "correct user and password in REDIS_URL, or set REDIS_PASSWORD_LOCK and the others for the users of helm/files/users.acl";
}

const TLS_ERRORS: readonly (readonly [words: RegExp, fix: string, final?: boolean])[] = [
  [
    /SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|self-signed certificate|unable to (verify|get)/,
    "name the certificate of its CA in TLS_CA",
  ],
  [/CERT_HAS_EXPIRED|certificate has expired/, "renew the server's certificate, or correct the clock"],
  [/CERT_NOT_YET_VALID|not yet valid/, "wait until it is valid, or correct the clock", HEALS],
  [
    /ALTNAME_INVALID|does not match certificate/,
    "use a name in the URL that the server's certificate has, or give it in TLS_SERVER_NAME",
  ],
  [
    /CERT_REVOKED|CERT_UNTRUSTED|CERT_REJECTED|INVALID_CA|INVALID_PURPOSE/,
    "give the server a certificate that its clients accept",
  ],
  [
    /alert certificate required|alert bad certificate|alert unknown ca|handshake failure/i,
    "give a client certificate that the server accepts in TLS_CERT and TLS_KEY",
  ],
  [
    /wrong version number|packet length too long|WRONG_VERSION_NUMBER/i,
    "the server does not speak TLS on this port: PLAIN",
  ],
];

/** The parts of an error, or of the error that caused it. */
export function partsOf(error: unknown): {
  readonly code: string;
  readonly errno: number | undefined;
  readonly message: string;
} {
  if (!(error instanceof Error)) return { code: "", errno: undefined, message: String(error ?? "") };
  const { code, errno } = error as { code?: unknown; errno?: unknown };
  return {
    code: typeof code === "string" ? code : "",
    // A system error has a negative number.
    errno: typeof errno === "number" && errno > 0 ? errno : undefined,
    message: error.message,
  };
}
