import type { ServerProcess } from "./server-process.ts";

/** A lock service that answers. */
export interface StartedService {
  /** Its URL and logins, that of an administrator included, as environment variables. */
  readonly variables: Readonly<Record<string, string>>;
  /** Name and version. */
  readonly version: string;
  readonly process: ServerProcess;
}
