/** Follows docs/extending.md to the letter, in a copy of the tree. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

const ROOT = join(import.meta.dirname, "../..");
const PARTS = ["worker", "coordinator", "helm/files", "package.json", "test/tidy.test.ts"];

interface Step {
  readonly section: string;
  readonly path: string;
  /** `new file`, `first`, `last in`, `before` or `replace`. */
  readonly how: string;
  /** The text of the file that `last in`, `before` and `replace` look for. */
  readonly anchor: string;
  readonly code: string;
}

const STEP =
  /<!-- (?:(?<created>new file) (?<file>\S+)|(?<path>\S+), (?<how>[a-z ]+)(?:: (?<anchor>.+))?) -->\n```ts\n(?<code>[\s\S]*?)```/g;
const page = await readFile(join(ROOT, "docs/extending.md"), "utf8");
const steps: Step[] = page.split(/^## /m).flatMap((part) => {
  const section = part.split("\n")[0]!;
  return [...part.matchAll(STEP)].map(({ groups }) => ({
    section,
    path: (groups!.file ?? groups!.path)!,
    how: (groups!.created ?? groups!.how)!,
    anchor: groups!.anchor ?? "",
    code: groups!.code!,
  }));
});

let copy: string;
before(async () => {
  copy = await mkdtemp(join(tmpdir(), "holdfast-docs-"));
  for (const part of PARTS) await cp(join(ROOT, part), join(copy, part), { recursive: true });
  // Types of what the program is made of; the tests and samples are not part of the page.
  const settings = JSON.parse(await readFile(join(ROOT, "tsconfig.json"), "utf8"));
  await writeFile(join(copy, "tsconfig.json"), JSON.stringify({ ...settings, include: ["worker", "coordinator"] }));
  await symlink(join(ROOT, "node_modules"), join(copy, "node_modules"));
});
after(() => rm(copy, { recursive: true, force: true }));

async function apply({ path, how, anchor, code }: Step) {
  const file = join(copy, path);
  if (how === "new file") return writeFile(file, code);
  const source = await readFile(file, "utf8");
  const found = source.indexOf(anchor);
  assert.ok(found >= 0, `${anchor} is in ${path}`);
  await writeFile(file, edit(source, found, how, anchor, code));
}

function edit(source: string, found: number, how: string, anchor: string, code: string): string {
  const insert = (at: number) => source.slice(0, at) + code + source.slice(at);
  if (how === "first") return code + source;
  if (how === "before") return insert(source.lastIndexOf("\n", found) + 1);
  if (how === "replace") return source.replace(anchor, code.trimEnd());
  assert.equal(how, "last in");
  const end = source.slice(found).search(/\n[}\]]/) + found + 1;
  assert.ok(end > found, `${anchor} ends`);
  return insert(end);
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
  const entry = steps.find(({ path, how }) => path === "worker/contract.ts" && how === "last in")!;
  const contract = await readFile(join(copy, "worker/contract.ts"), "utf8");
  await apply({ ...entry, code: entry.code.replace(/^ {4}(lock|write):.*\n/gm, "") });
  const { output } = await compile();
  for (const fact of ["lock", "write"])
    assert.match(output, new RegExp(`worker/contract\\.ts.*error.*\\b${fact}\\b`, "s"));
  await writeFile(join(copy, "worker/contract.ts"), contract);
});

/** Each part of the page, and where the compiler asks for what is missing while its last step is not done. */
for (const [section, asked] of [
  ["A strategy", /worker\/strategies\/index\.ts.*error.*"?my-lock/s],
  ["A scenario", /coordinator\/report\/scenario-answers\.ts.*error.*hold/s],
  ["A fault", /coordinator\/judge\/faults\.ts.*error.*spin/s],
  ["A check", /coordinator\/judge\/checks\/index\.ts.*error.*raise-bound/s],
  ["A column of the report", undefined],
] as const)
  test(`${section}: the compiler asks for what is missing, and accepts all of it`, async () => {
    const own = steps.filter((step) => step.section === section);
    assert.ok(own.length >= 3, `${own.length} steps`);
    for (const step of own.slice(0, -1)) await apply(step);
    if (asked !== undefined) {
      const half = await compile();
      assert.notEqual(half.status, 0);
      assert.match(half.output, asked);
    }
    await apply(own.at(-1)!);
    assert.deepEqual(await compile(), { status: 0, output: "" });
  });

test("the rules of the tree accept it", async () => {
  const tidy = await run("--test", "test/tidy.test.ts");
  assert.equal(tidy.status, 0, tidy.output);
});

test("the strategy runs and holds, with the new column and check in its report", async () => {
  const options = ["--strategies", "none,my-lock", "--duration", "2s", "--verbose", "--out", join(copy, "reports")];
  const { status, output } = await run("coordinator/main.ts", ...options);
  assert.match(output, /"none" violated; "my-lock" holds \(exit 0\)/, output);
  assert.match(output, /error classes/);
  assert.equal(status, 0);
});

test("the scenario is planned", async () => {
  const { output } = await run("coordinator/main.ts", "--help");
  assert.match(output, /^ {2}hold +each strategy with a short and with a long hold time$/m);
});
