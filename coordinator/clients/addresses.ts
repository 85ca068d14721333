/** Where the servers of a report are, and with which passwords its users log in. */

export interface ServerAddresses {
  readonly mysqlUrl: string;
  readonly mysqlPassword?: string | undefined;
  readonly redisUrl: string;
  /** All independent servers, `redisUrl` first. A lock on a majority uses all of them. */
  readonly redisUrls: readonly string[];
  /** One password for each user of helm/files/users.acl; empty where the user in the URL is used for everything. */
  readonly redisPasswords: Readonly<Record<string, string>>;
  readonly prometheusUrl: string;
  /** Whether the workers are pods that can reach an API server. */
  readonly cluster: boolean;
  /** Facts about the servers that the report shows under its environment, such as their versions. */
  readonly notes: Readonly<Record<string, string>>;
}

/** Returns the URL of a server with this user and password in place of its own. */
export function urlWithLogin(url: string, user: string, password: string): string {
  const changed = new URL(url);
  changed.username = user;
  changed.password = encodeURIComponent(password);
  return changed.href;
}
