/** The environment of the program of a user's own lock. */

export interface ProgramVariables {
  /** Name of the lock. */
  readonly name?: string | undefined;
  /** Redis with the login of the user `guest`, unless the variables name another one. */
  readonly redisUrl?: string | undefined;
}

/**
 * The variables that a program may see: nothing that could be a secret of the process that starts it. Of the variables
 * `HOLDFAST_LOCK_ENV.<lock>.<NAME>`, which the chart sets, each program gets its own, as <NAME>.
 */
export function programEnvironment(
  variables: NodeJS.ProcessEnv,
  { name: lock, redisUrl }: ProgramVariables = {},
): Record<string, string> {
  const own = `${ONE_LOCK}${lock}.`;
  const given = Object.entries(variables).flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]));
  return {
    ...(redisUrl === undefined ? {} : { HOLDFAST_LOCK_REDIS_URL: redisUrl }),
    ...Object.fromEntries(given.flatMap(({ name, value }) => (isForAll(name) ? [[name, value]] : []))),
    ...Object.fromEntries(
      given.flatMap(({ name, value }) => (name.startsWith(own) ? [[name.slice(own.length), value]] : [])),
    ),
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const VISIBLE = ["PATH", "HOME", "LANG", "TMPDIR"];
const ONE_LOCK = "HOLDFAST_LOCK_ENV.";
/** Where a program listens that was not started by a worker. One that was speaks over its standard input and output. */
const SOCKET = "HOLDFAST_LOCK_SOCKET";

const isForAll = (name: string) =>
  VISIBLE.includes(name) || (name.startsWith("HOLDFAST_LOCK_") && !name.startsWith(ONE_LOCK) && name !== SOCKET);
