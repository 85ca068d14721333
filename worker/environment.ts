import * as z from "zod";
import { WorkerSpec } from "./contract.ts";
import { LOCK_SERVICE_VARIABLES } from "./servers/lock-services.ts";
import { MYSQL_VARIABLES } from "./servers/mysql.ts";
import { REDIS_VARIABLES } from "./servers/redis.ts";
import { readSecretNow, secretVariables } from "./servers/secrets.ts";
import { checkServerVariables, withoutEmpty } from "./servers/variables.ts";

/** Environment variables of one worker, with the same names in a pod and in a local process. */
export const WorkerEnvironment = z
  .object({
    HOLDFAST_SPEC: z.string(),
    /** In an Indexed Job, Kubernetes sets JOB_COMPLETION_INDEX instead. */
    HOLDFAST_INDEX: z.coerce.number().int().nonnegative().optional(),
    JOB_COMPLETION_INDEX: z.coerce.number().int().nonnegative().optional(),
    /** The pod's UID; a random one locally. */
    HOLDFAST_UID: z.string().min(1),
    HOLDFAST_NODE: z.string().default("local"),
    /** Authenticates the worker to the coordinator. */
    ...secretVariables("HOLDFAST_TOKEN"),
    /** Where /metrics and /healthz are served; see listenHost. Port 0 takes a free one. */
    HOLDFAST_METRICS_HOST: z.string().default("::"),
    HOLDFAST_METRICS_PORT: z.coerce.number().int().min(0).max(65535).default(9464),
    ...MYSQL_VARIABLES,
    ...REDIS_VARIABLES,
    ...LOCK_SERVICE_VARIABLES,
    MYSQL_URL: z.string(),
    REDIS_URL: z.string(),
    /** A folder that all workers share, for the strategy `file`. */
    HOLDFAST_LOCK_FOLDER: z.string().optional(),
    /** For the strategy `lease`: the API server, as Kubernetes sets it in every pod, and the Job that owns the leases. */
    KUBERNETES_SERVICE_HOST: z.string().optional(),
    KUBERNETES_SERVICE_PORT: z.string().optional(),
    HOLDFAST_JOB_NAME: z.string().optional(),
    HOLDFAST_JOB_UID: z.string().optional(),
  })
  .superRefine(checkServerVariables);
export type WorkerEnvironment = z.infer<typeof WorkerEnvironment>;

/** Reads the spec and this worker's place in the fleet. Throws with a message for people if either is invalid. */
export function readEnvironment(variables: NodeJS.ProcessEnv) {
  const read = WorkerEnvironment.safeParse(withoutEmpty(variables));
  if (!read.success) throw new Error(`the environment is not a worker's: ${z.prettifyError(read.error)}`);
  const token = readSecretNow(read.data, "HOLDFAST_TOKEN");
  if (token === undefined) throw new Error("the environment is not a worker's: HOLDFAST_TOKEN is missing");
  const environment = { ...read.data, HOLDFAST_TOKEN: token };
  const index = environment.HOLDFAST_INDEX ?? environment.JOB_COMPLETION_INDEX ?? 0;
  try {
    return { environment, spec: WorkerSpec.parse(JSON.parse(environment.HOLDFAST_SPEC)), index };
  } catch (error) {
    throw new Error(`HOLDFAST_SPEC is not valid: ${error instanceof z.ZodError ? z.prettifyError(error) : error}`);
  }
}
