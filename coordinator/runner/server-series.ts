/** What is shown of Redis and MySQL, and where each server says it. */

export type Server = "redis" | "mysql";

export interface ServerSeries {
  readonly name: string;
  readonly help: string;
  /** A counter may start anew when its server does. */
  readonly kind: "counter" | "gauge";
  readonly labels?: Readonly<Record<string, string>>;
  /** The server's own name of it. */
  readonly field: string;
  /** How much of the base unit is one of the server's units; 1 where it is left out. */
  readonly unit?: number;
}

/** Fields of `INFO`. Redis 7.0 has no `pubsub_clients` and does not count what its ACL refused. */
export const REDIS_SERIES: readonly ServerSeries[] = [
  counter("holdfast_redis_commands_total", "Commands processed, those in scripts too", "total_commands_processed"),
  counter("holdfast_redis_requests_total", "Requests read from clients: round trips", "total_reads_processed"),
  gauge("holdfast_redis_connected_clients", "Connected clients", "connected_clients"),
  gauge("holdfast_redis_blocked_clients", "Clients that wait in a blocking command", "blocked_clients"),
  gauge("holdfast_redis_pubsub_clients", "Clients subscribed to a channel", "pubsub_clients"),
  gauge("holdfast_redis_pubsub_channels", "Channels with a subscriber", "pubsub_channels"),
  gauge("holdfast_redis_memory_used_bytes", "Memory that Redis allocated", "used_memory"),
  counter("holdfast_redis_expired_keys_total", "Keys whose TTL ended, abandoned locks among them", "expired_keys"),
  counter("holdfast_redis_evicted_keys_total", "Keys dropped for want of memory; must stay 0", "evicted_keys"),
  ...["auth", "cmd", "key", "channel"].map((reason) => ({
    ...counter("holdfast_redis_acl_denied_total", "What the ACL refused, by reason", `acl_access_denied_${reason}`),
    labels: { reason },
  })),
];

/** Fields of `SHOW GLOBAL STATUS`. MySQL itself has no `Innodb_deadlocks`; MariaDB has. */
export const MYSQL_SERIES: readonly ServerSeries[] = [
  counter("holdfast_mysql_questions_total", "Statements that clients sent", "Questions"),
  counter("holdfast_mysql_commits_total", "COMMIT statements", "Com_commit"),
  counter("holdfast_mysql_rollbacks_total", "ROLLBACK statements", "Com_rollback"),
  gauge("holdfast_mysql_connected_threads", "Connected clients", "Threads_connected"),
  gauge("holdfast_mysql_running_threads", "Clients whose statement runs now", "Threads_running"),
  counter("holdfast_mysql_row_lock_waits_total", "Waits for a row lock", "Innodb_row_lock_waits"),
  {
    ...counter("holdfast_mysql_row_lock_seconds_total", "Time spent in waits for a row lock", "Innodb_row_lock_time"),
    unit: 1 / 1000,
  },
  gauge("holdfast_mysql_row_lock_waiting", "Waits for a row lock, now", "Innodb_row_lock_current_waits"),
  counter("holdfast_mysql_deadlocks_total", "Deadlocks that the server resolved", "Innodb_deadlocks"),
];

function counter(name: string, help: string, field: string): ServerSeries {
  return { name, help, kind: "counter", field };
}

function gauge(name: string, help: string, field: string): ServerSeries {
  return { name, help, kind: "gauge", field };
}
