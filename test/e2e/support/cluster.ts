/** The cluster under test: the one that HOLDFAST_E2E_CONTEXT names, and never the current context of a kubeconfig. */
import { bothHelms } from "../../chart/helm.ts";
import { attempt, type CommandOptions, type Outcome, succeed } from "./command.ts";

/** A kubectl context. Without one, importing this file fails, before anything is changed. */
export const CONTEXT = await namedContext();

const programs = Object.fromEntries(bothHelms().map(({ major, program }) => [major, program]));
export type HelmMajor = 3 | 4;

export const kubectl = (args: readonly string[], options?: CommandOptions): Promise<string> =>
  succeed("kubectl", ["--context", CONTEXT, ...args], options);

export const tryKubectl = (args: readonly string[], options?: CommandOptions): Promise<Outcome> =>
  attempt("kubectl", ["--context", CONTEXT, ...args], options);

// biome-ignore lint/suspicious/noExplicitAny: the API server's answers have a different shape for each kind.
export type Json = any;

export const kubectlJson = async (args: readonly string[], options?: CommandOptions): Promise<Json> =>
  JSON.parse(await kubectl([...args, "--output", "json"], options));

export const helm = (major: HelmMajor, args: readonly string[], options?: CommandOptions): Promise<string> =>
  succeed(programs[major]!, ["--kube-context", CONTEXT, ...args], options);

export const tryHelm = (major: HelmMajor, args: readonly string[], options?: CommandOptions): Promise<Outcome> =>
  attempt(programs[major]!, ["--kube-context", CONTEXT, ...args], options);

export const apply = (object: object) => kubectl(["apply", "--filename", "-"], { input: JSON.stringify(object) });

/** Names of the nodes that can run workers, in order. */
export async function workerNodes(): Promise<string[]> {
  const { items } = await kubectlJson(["get", "nodes"]);
  const open = items.filter((node: Json) => !node.spec.taints?.some(({ effect }: Json) => effect === "NoSchedule"));
  return open.map((node: Json) => node.metadata.name).sort();
}

async function namedContext(): Promise<string> {
  const context = process.env.HOLDFAST_E2E_CONTEXT ?? "";
  if (context === "")
    throw new Error(
      "HOLDFAST_E2E_CONTEXT is not set: name the kubectl context of a cluster for tests, or use make e2e",
    );
  const contexts = await succeed("kubectl", ["config", "get-contexts", "--output", "name"]);
  if (!contexts.split("\n").includes(context))
    throw new Error(`HOLDFAST_E2E_CONTEXT=${context}: kubectl has no such context: make kind-up, or name another one`);
  return context;
}
