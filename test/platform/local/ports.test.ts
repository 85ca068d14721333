import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { freePort } from "../../../coordinator/platform/local/servers/ports.ts";

const PORTS_URL = new URL("../../../coordinator/platform/local/servers/ports.ts", import.meta.url).href;

test("a port is given to one caller until its process ends, although nothing listens on it", async (context) => {
  const script = `const { freePort } = await import("${PORTS_URL}"); console.log(await freePort()); process.stdin.resume()`;
  const other = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = await once(other.stdout, "data");
  const taken = Number(String(line));

  const drawn = Math.random;
  let first = true;
  context.mock.method(Math, "random", () => {
    // The middle of the part of [0, 1) that leads to this port.
    const next = first ? (taken - 20_000 + 0.5) / 6_000 : drawn();
    first = false;
    return next;
  });
  const draw = async () => {
    first = true;
    return await freePort();
  };
  assert.notEqual(await draw(), taken, "another process has it");
  other.stdin.end();
  await once(other, "exit");
  assert.equal(await draw(), taken);
  assert.notEqual(await draw(), taken, "this process has it");
});
