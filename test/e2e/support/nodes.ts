/** Faults of the nodes of a kind cluster, which are containers. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { CONTEXT, type Json, kubectlJson } from "./cluster.ts";
import { attempt, succeed } from "./command.ts";
import type { Site } from "./site.ts";
import { until } from "./wait.ts";

/** Why node faults are not possible here; `undefined` if they are. */
export async function whyNot(nodes: readonly string[]): Promise<string | undefined> {
  const cluster = /^kind-(.+)$/.exec(CONTEXT)?.[1];
  if (cluster === undefined) return `${CONTEXT} is no kind cluster: its nodes are left alone`;
  const known = await attempt("kind", ["get", "nodes", "--name", cluster]).catch(() => undefined);
  const names = known?.stdout.split("\n") ?? [];
  if (!nodes.every((node) => names.includes(node))) return `kind does not know the nodes ${nodes.join(", ")}`;
  return nodes.length < 2 ? "one node is not enough to lose one" : undefined;
}

/** Freezes a node, with everything on it, until disposed. */
export async function freeze(node: string): Promise<AsyncDisposable> {
  await succeed("docker", ["pause", node]);
  return {
    async [Symbol.asyncDispose]() {
      await succeed("docker", ["unpause", node]);
      await ready(node);
    },
  };
}

/** Stops a node without warning. When disposed, starts it again and waits until it is ready. */
export async function lose(node: string): Promise<AsyncDisposable> {
  await succeed("docker", ["kill", node]);
  return {
    async [Symbol.asyncDispose]() {
      await succeed("docker", ["start", node]);
      await ready(node);
    },
  };
}

/** Stops the first process of a pod's container until disposed. The pod keeps its data and its address. */
export async function stopProcess(site: Site, selector: string): Promise<AsyncDisposable> {
  const { items } = await site.json(["get", "pods", "--selector", selector]);
  const [pod] = items;
  const id = pod.status.containerStatuses[0].containerID.replace("containerd://", "");
  const signal = (name: string) =>
    succeed("docker", [
      "exec",
      pod.spec.nodeName,
      "ctr",
      "--namespace",
      "k8s.io",
      "task",
      "kill",
      "--signal",
      name,
      id,
    ]);
  await signal("SIGSTOP");
  return {
    async [Symbol.asyncDispose]() {
      await signal("SIGCONT");
    },
  };
}

/**
 * Opens a shell on a node. `cut` drops all packets between a pod of this node and pods of other nodes for a while, also of
 * open connections: a shell that is open is told faster than a new command is started.
 */
export async function cutter(node: string, pod: string, others: readonly string[]) {
  const rules = others.flatMap((other) => [
    `--source ${pod} --destination ${other}`,
    `--source ${other} --destination ${pod}`,
  ]);
  const each = (order: string) =>
    rules.map((rule) => `iptables --wait --table mangle ${order} FORWARD ${rule} --jump DROP`).join("; ");
  const shell = spawn("docker", ["exec", "--interactive", node, "sh", "-e"], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(shell, "close");
  shell.stdin.write(`trap '${each("--delete")}' EXIT; echo ready\n`);
  await once(shell.stdout, "data");
  return {
    /** Resolves when packets pass again. */
    async cut(forMs: number): Promise<void> {
      shell.stdin.end(`${each("--insert")}; sleep ${forMs / 1_000}\n`);
      assert.equal((await ended)[0], 0, `the rules of ${node}`);
    },
  };
}

async function ready(node: string): Promise<void> {
  await until(`node ${node} to be ready`, 240_000, async () => {
    const { status } = await kubectlJson(["get", "node", node]);
    return status.conditions.some(({ type, status: is }: Json) => type === "Ready" && is === "True");
  });
}
