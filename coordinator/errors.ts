/**
 * A server cannot be reached or used. The message is one line: the server, the reason, the fix. Exit status 4.
 * `final` when waiting cannot help, as for a refused user or a missing table.
 */
export class ServerError extends Error {
  override name = "ServerError";
  readonly thing: string;
  /** The reason alone, without the server and the fix. */
  readonly reason: string;
  readonly final: boolean;
  constructor(
    thing: string,
    reason: string,
    fix: string,
    options: { readonly cause?: unknown; readonly final?: boolean } = {},
  ) {
    super(`${thing}: ${reason}; ${fix}`, { cause: options.cause });
    this.thing = thing;
    this.reason = reason;
    this.final = options.final ?? false;
  }
}

/** The configuration is wrong. The message is one line for the user. Exit status 2. */
export class ConfigError extends Error {
  override name = "ConfigError";
}
