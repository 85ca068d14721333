/** What `make` installs, what a bundle says of a Node.js that is too old for it, and the npm package. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import packageJson from "../package.json" with { type: "json" };

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "..");

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-install-"));
});
after(() => rm(folder, { recursive: true }));

test("NODE_ENV=production does not leave out what the build needs", async () => {
  await cp(join(ROOT, "Makefile"), join(folder, "Makefile"));
  await mkdir(join(folder, "compiler"));
  await writeFile(join(folder, "compiler/package.json"), JSON.stringify({ name: "compiler", version: "1.0.0" }));
  const project = {
    name: "project",
    version: "1.0.0",
    scripts: { build: "test -d node_modules/compiler" },
    devDependencies: { compiler: "file:compiler" },
  };
  await writeFile(join(folder, "package.json"), JSON.stringify(project));
  await run("npm", ["install", "--package-lock-only", "--offline"], { cwd: folder });
  const env = { ...process.env, NODE_ENV: "production", npm_config_omit: "dev" };
  await run("make", ["build"], { cwd: folder, env });
});

for (const program of ["coordinator", "keeper", "worker"])
  test(`${program} names the version that it needs before it loads anything`, async () => {
    // Alone in a folder: what it would load is missing, as names of Node's own modules are in an older version.
    const alone = join(await mkdtemp(join(folder, "alone-")), `${program}.mjs`);
    await cp(join(ROOT, "dist", `${program}.js`), alone);
    const old = 'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.9.0" } })';
    const { code, stderr } = await run(process.execPath, ["--import", `data:text/javascript,${old}`, alone]).then(
      () => assert.fail("it started"),
      (error: { code: unknown; stderr: string }) => error,
    );
    assert.match(stderr, /^holdfast: Node\.js 20\.9\.0 is too old: install Node\.js 24 or later[^\n]+\n$/);
    assert.equal(code, 2);
  });

test("the npm package runs in an empty folder: no checkout, no other packages", async (t) => {
  // In a copy, because `npm pack` builds, and other tests may be using dist/.
  const source = join(folder, "source");
  for (const name of [
    ...["package.json", "tsconfig.json", "build.ts", "README.md", "LICENSE", "CHANGELOG.md"],
    ...["worker", "coordinator", "helm"],
  ])
    await cp(join(ROOT, name), join(source, name), { recursive: true });
  await symlink(join(ROOT, "node_modules"), join(source, "node_modules"));

  // Not in `folder`: npm installs into the nearest parent that has a package.json.
  const user = await mkdtemp(join(tmpdir(), "holdfast-user-"));
  t.after(() => rm(user, { recursive: true }));
  const PATH = [dirname(process.execPath), process.env.PATH].join(delimiter);
  const env = { PATH, HOME: folder, TMPDIR: tmpdir(), npm_config_cache: join(folder, "cache") };
  const [packed] = JSON.parse(
    (await run("npm", ["pack", "--json", "--pack-destination", user], { cwd: source, env })).stdout,
  );
  const files = (packed.files as { path: string }[]).map(({ path }) => path);
  assert.deepEqual(files.filter((path) => !/^dist\/[\w-]+\.js$|^helm\/files\/[\w-]+\.\w+$/.test(path)).sort(), [
    ...["CHANGELOG.md", "LICENSE", "README.md", "coordinator/platform/local/servers/install.sh"],
    ...["dist/licenses.txt", "package.json"],
  ]);

  await run("npm", ["install", "--offline", "--no-audit", `./${packed.filename}`], { cwd: user, env });
  const lock = JSON.parse(await readFile(join(user, "package-lock.json"), "utf8"));
  assert.deepEqual(Object.keys(lock.packages), ["", "node_modules/holdfast"]);

  const holdfast = (...options: string[]) =>
    run("npx", ["--no-install", "holdfast", ...options], { cwd: user, env }).catch(({ code, stdout, stderr }) =>
      assert.fail(`exit status ${code}\n${stdout}\n${stderr}`),
    );
  assert.equal((await holdfast("--version")).stdout, `${packageJson.version}\n`);
  const { stdout } = await holdfast("--strategies", "none,redis", "--duration", "2s");
  assert.match(stdout, /"none" violated; "redis" holds \(exit 0\)\nreport: \/.+\/reports\/\w+\/report\.json\n$/);
});
