import { spawn } from "node:child_process";
import { once } from "node:events";
import { CONTEXT } from "./cluster.ts";
import type { Site } from "./site.ts";

/** `kubectl port-forward` to a port of a Service or pod; the URL is valid until the forward is disposed. */
export async function forward(site: Site, target: string, port: number): Promise<{ url: string } & AsyncDisposable> {
  const args = ["--context", CONTEXT, "--namespace", site.namespace, "port-forward", target, `:${port}`];
  const child = spawn("kubectl", args, { stdio: ["ignore", "pipe", "pipe"] });
  const local = await new Promise<string>((resolve, reject) => {
    let said = "";
    const hear = (chunk: Buffer) => {
      said += chunk;
      const found = /Forwarding from 127\.0\.0\.1:(\d+)/.exec(said)?.[1];
      if (found !== undefined) resolve(found);
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.once("exit", () => reject(new Error(`port-forward to ${target} ended: ${said}`)));
    setTimeout(() => reject(new Error(`port-forward to ${target} did not begin in time: ${said}`)), 30_000).unref();
  }).catch((error) => {
    child.kill();
    throw error;
  });
  return {
    url: `http://127.0.0.1:${local}`,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || !child.kill()) return;
      await once(child, "exit");
    },
  };
}
