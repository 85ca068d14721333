/** The linearizability checker of test/porcupine, where Go and the module are there. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

const SOURCE = join(import.meta.dirname, "../porcupine");
const DOWNLOAD_MS_MAX = 20_000;

export type Linearizable = "Ok" | "Illegal" | "Unknown";
export type Porcupine =
  | { readonly missing: string }
  | { readonly missing?: never; check(files: readonly string[]): Linearizable[] };

/** Builds it into the folder. What is missing is a reason to skip a test; a program that does not compile is none. */
export function buildPorcupine(folder: string): Porcupine {
  const go = ["go", "/usr/local/go/bin/go"].find((path) => spawnSync(path, ["version"]).status === 0);
  if (go === undefined) return { missing: "Go is not installed" };
  const run = (args: string[], timeout?: number) =>
    spawnSync(go, args, { cwd: SOURCE, encoding: "utf8", ...(timeout === undefined ? {} : { timeout }) });
  const download = run(["mod", "download"], DOWNLOAD_MS_MAX);
  if (download.status !== 0)
    return { missing: `the Go module porcupine cannot be loaded: ${download.stderr.trim() || download.error}` };
  const program = join(folder, "porcupine");
  const build = run(["build", "-buildvcs=false", "-o", program, "."]);
  assert.equal(build.status, 0, build.stderr);
  assert.ok(existsSync(program));
  return {
    check(files) {
      const { status, stdout, stderr } = spawnSync(program, files, { encoding: "utf8" });
      assert.equal(status, 0, stderr);
      const results = stdout.trimEnd().split("\n") as Linearizable[];
      assert.equal(results.length, files.length);
      return results;
    },
  };
}
