import * as z from "zod";
import { WorkerEnvironment, WorkerSpec } from "./contract.ts";

/** Reads the spec and this worker's place in the fleet. Throws with a message for people if either is invalid. */
export function readEnvironment(variables: NodeJS.ProcessEnv) {
  const read = WorkerEnvironment.safeParse(variables);
  if (!read.success) throw new Error(`the environment is not a worker's: ${z.prettifyError(read.error)}`);
  const environment = read.data;
  const index = environment.HOLDFAST_INDEX ?? environment.JOB_COMPLETION_INDEX ?? 0;
  try {
    return { environment, spec: WorkerSpec.parse(JSON.parse(environment.HOLDFAST_SPEC)), index };
  } catch (error) {
    throw new Error(`HOLDFAST_SPEC is not valid: ${error instanceof z.ZodError ? z.prettifyError(error) : error}`);
  }
}
