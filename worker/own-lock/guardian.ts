import { spawn } from "node:child_process";
import type { Socket } from "node:net";

/**
 * Kills a process group once this process has ended in any way, even by SIGKILL: a program that is stopped, or its
 * children, would not notice the end of standard input. It waits for the end of a pipe that only this process holds.
 */
export function killWithParent(group: number | undefined) {
  if (group === undefined) return undefined;
  const script = 'read -r _; kill -9 "-$1"';
  const guardian = spawn("/bin/sh", ["-c", script, "sh", String(group)], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    env: {},
  });
  guardian.on("error", () => {});
  guardian.unref();
  (guardian.stdin as Socket).unref();
  return guardian;
}
