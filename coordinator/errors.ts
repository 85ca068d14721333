/**
 * A server cannot be reached or used. The message is one line: the thing, the reason, the fix. Exit status 4.
 * `final` where waiting cannot help: a refused user, a missing table.
 */
export class ServerError extends Error {
  override name = "ServerError";
  readonly final: boolean;
  constructor(
    thing: string,
    reason: string,
    fix: string,
    options: { readonly cause?: unknown; readonly final?: boolean } = {},
  ) {
    super(`${thing}: ${reason}; ${fix}`, { cause: options.cause });
    this.final = options.final ?? false;
  }
}

/** The configuration is wrong; the message is one line for the user. */
export class ConfigError extends Error {
  override name = "ConfigError";
}
