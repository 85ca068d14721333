/** Each program of examples/locks keeps every rule that it can, where what it needs is on this machine. */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { startRedis, type TestRedis } from "../support/redis.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "../..");
const FOLDER = join(ROOT, "examples/locks");
const succeeds = (file: string, ...args: string[]) => spawnSync(file, args).status === 0;

const python = ["python3", "/usr/bin/python3"].find((file) => succeeds(file, "--version"));
const pythonWithRedis = ["python3", "/usr/bin/python3"].find((file) => succeeds(file, "-c", "import redis"));
const bash = succeeds("bash", "-c", "[[ -n $EPOCHREALTIME ]]");
/** Short of a Go of the version in go.mod, and of the modules or a proxy for them, there is nothing to test. */
const redsync = spawnSync("go", ["mod", "download"], {
  cwd: join(FOLDER, "redsync"),
  env: { ...process.env, GOTOOLCHAIN: "local" },
  timeout: 20_000,
  encoding: "utf8",
});

let folder: string;
let redis: TestRedis;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-examples-"));
  redis = await startRedis();
});
after(async () => {
  await redis.stop();
  await rm(folder, { recursive: true });
});

const check = (command: readonly string[], url = redis.url("guest")) =>
  run(process.execPath, [join(ROOT, "coordinator/main.ts"), "check-lock", "--", ...command], {
    cwd: ROOT,
    env: { ...process.env, TMPDIR: folder, HOLDFAST_LOCK_REDIS_URL: url },
    timeout: 60_000,
  }).then(
    ({ stdout }) => ({ status: 0, stdout }),
    ({ code: status, stdout }: { code: number; stdout: string }) => ({ status, stdout }),
  );

/** The command, why it cannot be tested here, and how many rules it keeps: all but those of what it does not claim. */
const EXAMPLES: Readonly<Record<string, readonly [() => string[], string | false, number]>> = {
  "flock.py": [() => [python!, "examples/locks/flock.py"], !python && "there is no python3", 11],
  // One program is tried by itself, so nothing shows that another process does not see its locks.
  "broken.py": [() => [python!, "examples/locks/broken.py"], !python && "there is no python3", 11],
  "mkdir.sh": [() => ["bash", "examples/locks/mkdir.sh"], !bash && "there is no bash 5", 11],
  "redis_py.py": [
    () => [pythonWithRedis!, "examples/locks/redis_py.py"],
    !pythonWithRedis && "no python3 has the package redis (Debian: python3-redis)",
    13,
  ],
  redsync: [
    () => [join(folder, "redsync")],
    redsync.status !== 0 && `go mod download: ${redsync.error?.message ?? redsync.stderr.trim().split("\n").at(-1)}`,
    12,
  ],
};

describe("the examples keep every rule", { concurrency: true }, () => {
  for (const [name, [command, skip, passed]] of Object.entries(EXAMPLES))
    test(name, { skip }, async () => {
      if (name === "redsync")
        await run("go", ["build", "-o", join(folder, "redsync"), "."], { cwd: join(FOLDER, "redsync") });
      const { status, stdout } = await check(command());
      assert.equal(status, 0, stdout);
      assert.match(stdout, new RegExp(`every rule that was tried is kept, ${passed} passed\n$`));
    });

  test("without its server, one says so at the start", { skip: EXAMPLES["redis_py.py"]![1] }, async () => {
    const { status, stdout } = await check([pythonWithRedis!, "examples/locks/redis_py.py"], "redis://127.0.0.1:1");
    assert.equal(status, 1);
    assert.match(stdout, /✗ answers `init` with `ready`: error config: HOLDFAST_LOCK_REDIS_URL: .*Connection refused/);
  });
});

test("the README has every example, with the rules that it keeps", async () => {
  const readme = await readFile(join(FOLDER, "README.md"), "utf8");
  for (const [name, [, , passed]] of Object.entries(EXAMPLES))
    assert.match(readme, new RegExp(`^\\| \\[\`${name}\`\\]\\(.*\\| ${passed} \\|`, "m"));
});
