/** Where the servers are, and who may log in to them. */

export interface ServerAddresses {
  readonly mysqlUrl: string;
  readonly mysqlPassword?: string | undefined;
  readonly redisUrl: string;
  /** All independent servers, `redisUrl` first; a lock on a majority uses them all. */
  readonly redisUrls: readonly string[];
  /** One password for each user of helm/files/users.acl; empty where the URL's own user is used for all. */
  readonly redisPasswords: Readonly<Record<string, string>>;
  readonly prometheusUrl: string;
  /** Whether the workers are pods that can reach an API server. */
  readonly cluster: boolean;
  /** What else is known of them, for the report. */
  readonly notes: Readonly<Record<string, string>>;
}
