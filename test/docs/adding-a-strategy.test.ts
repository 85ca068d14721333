/** Follows docs/adding-a-strategy.md to the letter, in a copy of the tree. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

const ROOT = join(import.meta.dirname, "../..");
const PARTS = ["worker", "coordinator", "helm/files", "tsconfig.json", "package.json", "test/tidy.test.ts"];

let copy: string;
before(async () => {
  copy = await mkdtemp(join(tmpdir(), "holdfast-docs-"));
  for (const part of PARTS) await cp(join(ROOT, part), join(copy, part), { recursive: true });
  await symlink(join(ROOT, "node_modules"), join(copy, "node_modules"));
});
after(() => rm(copy, { recursive: true, force: true }));

const [file, entry, importLine, line] = (await readFile(join(ROOT, "docs/adding-a-strategy.md"), "utf8"))
  .split("```ts\n")
  .slice(1)
  .map((part) => part.split("```")[0]!);

/** Puts text before the end of the object that begins with `opening`. */
async function insert(path: string, opening: string, text: string) {
  const source = await readFile(join(copy, path), "utf8");
  const begin = source.indexOf(opening);
  const end = source.indexOf("\n}", begin) + 1;
  assert.ok(begin >= 0 && end > begin, `${opening} is in ${path}`);
  await writeFile(join(copy, path), source.slice(0, end) + text + source.slice(end));
}

async function run(...args: string[]): Promise<{ status: number; output: string }> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: copy, timeout: 120_000 });
    return { status: 0, output: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { status: code, output: stdout + stderr };
  }
}
const compile = () => run("node_modules/typescript/bin/tsc", "--noEmit");

test("an entry without its facts about lock and write is refused", async () => {
  const contract = await readFile(join(copy, "worker/contract.ts"), "utf8");
  await insert("worker/contract.ts", "export const STRATEGIES = {", entry!.replace(/^ {4}(lock|write):.*\n/gm, ""));
  const { output } = await compile();
  for (const fact of ["lock", "write"])
    assert.match(output, new RegExp(`worker/contract\\.ts.*error.*\\b${fact}\\b`, "s"));
  await writeFile(join(copy, "worker/contract.ts"), contract);
});

test("one file alone, or one entry alone, is refused; all of the page is accepted", async () => {
  await writeFile(join(copy, "worker/strategies/my-lock.ts"), file!);
  await insert("worker/contract.ts", "export const STRATEGIES = {", entry!);
  const half = await compile();
  assert.match(half.output, /worker\/strategies\/index\.ts.*error.*'"my-lock"'|"my-lock"/s);
  assert.notEqual(half.status, 0);

  await insert("worker/strategies/index.ts", "export const strategies", line!);
  const index = join(copy, "worker/strategies/index.ts");
  await writeFile(index, importLine! + (await readFile(index, "utf8")));
  assert.deepEqual(await compile(), { status: 0, output: "" });
});

test("the rules of the tree accept it", async () => {
  const tidy = await run("--test", "test/tidy.test.ts");
  assert.equal(tidy.status, 0, tidy.output);
});

test("it runs, and holds", async () => {
  const options = ["--strategies", "none,my-lock", "--duration", "1s", "--out", join(copy, "reports")];
  const { status, output } = await run("coordinator/main.ts", ...options);
  assert.match(output, /none violated; my-lock holds \(exit 0\)/, output);
  assert.equal(status, 0);
});
