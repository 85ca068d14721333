/** The series that the dashboard shows of Redis and MySQL, and the status field that each one comes from. */

export type Server = "redis" | "mysql";

export interface ServerSeries {
  readonly name: string;
  readonly help: string;
  /** A counter starts again at 0 when its server restarts. */
  readonly kind: "counter" | "gauge";
  readonly labels?: Readonly<Record<string, string>>;
  /** The name that the server gives to the field. */
  readonly field: string;
  /** Size of the server's unit in base units; 1 if left out. */
  readonly unit?: number;
}

/** Fields of `INFO`. Redis 7.0 has neither `pubsub_clients` nor the counts of what its ACL refused. */
export const REDIS_SERIES: readonly ServerSeries[] = [
  counter(
    "holdfast_redis_commands_total",
    "Commands processed, including those in scripts",
    "total_commands_processed",
  ),
  counter("holdfast_redis_requests_total", "Requests read from clients: round trips", "total_reads_processed"),
  gauge("holdfast_redis_connected_clients", "Connected clients", "connected_clients"),
  gauge("holdfast_redis_blocked_clients", "Clients waiting in a blocking command", "blocked_clients"),
  gauge("holdfast_redis_pubsub_clients", "Clients subscribed to a channel", "pubsub_clients"),
  gauge("holdfast_redis_pubsub_channels", "Channels with a subscriber", "pubsubshard_channels"),
  gauge("holdfast_redis_memory_used_bytes", "Memory allocated by Redis", "used_memory"),
  counter("holdfast_redis_expired_keys_total", "Keys whose TTL has ended, including abandoned locks", "expired_keys"),
  counter("holdfast_redis_evicted_keys_total", "Keys evicted because memory ran out; must stay 0", "evicted_keys"),
  ...["auth", "cmd", "key", "channel"].map((reason) => ({
    ...counter("holdfast_redis_acl_denied_total", "Refusals by the ACL, by reason", `acl_access_denied_${reason}`),
    labels: { reason },
  })),
];

/** Fields of `SHOW GLOBAL STATUS`. MySQL itself has no `Innodb_deadlocks`; MariaDB has. */
export const MYSQL_SERIES: readonly ServerSeries[] = [
  counter("holdfast_mysql_questions_total", "Statements sent by clients", "Questions"),
  counter("holdfast_mysql_commits_total", "COMMIT statements", "Com_commit"),
  counter("holdfast_mysql_rollbacks_total", "ROLLBACK statements", "Com_rollback"),
  gauge("holdfast_mysql_connected_threads", "Connected clients", "Threads_connected"),
  gauge("holdfast_mysql_running_threads", "Clients whose statement is running", "Threads_running"),
  counter("holdfast_mysql_row_lock_waits_total", "Waits for a row lock", "Innodb_row_lock_waits"),
  {
    ...counter("holdfast_mysql_row_lock_seconds_total", "Time spent waiting for row locks", "Innodb_row_lock_time"),
    unit: 1 / 1000,
  },
  gauge("holdfast_mysql_row_lock_waiting", "Current waits for a row lock", "Innodb_row_lock_current_waits"),
  counter("holdfast_mysql_deadlocks_total", "Deadlocks resolved by the server", "Innodb_deadlocks"),
];

function counter(name: string, help: string, field: string): ServerSeries {
  return { name, help, kind: "counter", field };
}

function gauge(name: string, help: string, field: string): ServerSeries {
  return { name, help, kind: "gauge", field };
}
