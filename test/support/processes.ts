import { readdirSync, readFileSync } from "node:fs";

/** The process of the worker with this uid, found by its environment. Linux only. */
export function processOf(uid: string): number {
  const found = workers().find(({ environment }) => environment.includes(`HOLDFAST_UID=${uid}`));
  if (found === undefined) throw new Error(`no process of worker ${uid}`);
  return found.pid;
}

/** Processes of workers of this report, or of all reports. */
export const workerProcesses = (report = ""): number[] =>
  workers()
    .filter(({ environment }) => environment.some((line) => line.includes(`"report":"${report}`)))
    .map(({ pid }) => pid);

/** Processes with this variable in their environment, as NAME=value. */
export const processesWith = (variable: string): number[] =>
  processes()
    .filter(({ environment }) => environment.includes(variable))
    .map(({ pid }) => pid);

const workers = () =>
  processes().filter(({ environment }) => environment.some((line) => line.startsWith("HOLDFAST_UID=")));

function processes(): { pid: number; environment: string[] }[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      return [{ pid: Number(name), environment: readFileSync(`/proc/${name}/environ`, "utf8").split("\0") }];
    } catch {
      return [];
    }
  });
}
