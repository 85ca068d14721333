/** The shell commands of the release workflow, run on copies of the files that they read. `gh` and `helm` only record their arguments. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import packageJson from "../../package.json" with { type: "json" };

const ROOT = join(import.meta.dirname, "../..");
const { version } = packageJson;
const workflow = parse(await readFile(join(ROOT, ".github/workflows/release.yml"), "utf8"));

/** The only step of a job whose commands have these words. */
function commands(job: string, words: string): string {
  const found = workflow.jobs[job].steps.filter(({ run = "" }: { run?: string }) => run.includes(words));
  assert.equal(found.length, 1, `${job}: ${words}`);
  return found[0].run;
}

/** A folder with what the commands read, and with a changelog that has a section for the version. */
async function folder() {
  const path = await mkdtemp(join(tmpdir(), "holdfast-release-"));
  for (const name of ["package.json", "helm", "CHANGELOG.md"])
    await cp(join(ROOT, name), join(path, name), { recursive: true });
  const changelog = await readFile(join(path, "CHANGELOG.md"), "utf8");
  const cut = changelog.replace(/^## \[Unreleased\]$/m, `## [Unreleased]\n\n## [${version}] - 2030-01-31`);
  await writeFile(join(path, "CHANGELOG.md"), `${cut}\n## [0.0.1] - 2029-01-31\n\n- an older entry\n`);
  await mkdir(join(path, "bin"));
  for (const program of ["gh", "helm"])
    await writeFile(join(path, "bin", program), `#!/bin/sh\necho ${program} "$@" >>calls\n`, { mode: 0o755 });
  return {
    read: (name: string) => readFile(join(path, name), "utf8"),
    run(script: string, tag = `v${version}`) {
      const { status, stderr } = spawnSync("bash", ["-eo", "pipefail", "-c", script], {
        cwd: path,
        encoding: "utf8",
        env: {
          PATH: `${join(path, "bin")}:${process.env.PATH}`,
          GITHUB_REF_NAME: tag,
          GITHUB_REPOSITORY_OWNER: "Some-Owner",
        },
      });
      return { status, stderr };
    },
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

test("a tag is accepted if package, chart and changelog have its version, and refused otherwise", async () => {
  await using files = await folder();
  const check = commands("check", "CHANGELOG.md");
  const { status, stderr } = files.run(check);
  assert.equal(status, 0, stderr);
  assert.notEqual(files.run(check, "v99.0.0").status, 0);
  assert.notEqual(files.run(check.replace("CHANGELOG.md", "package.json")).status, 0, "no section in the changelog");
});

test("the notes of a release are the section of its version", async () => {
  await using files = await folder();
  const { status, stderr } = files.run(commands("release", "gh release create"));
  assert.equal(status, 0, stderr);
  const notes = await files.read("notes.md");
  assert.match(notes, /^### Added$/m);
  assert.doesNotMatch(notes, /^## |an older entry/m);
  assert.match(await files.read("calls"), new RegExp(`^gh release create v${version} `));
});

test("the published chart uses the image of the owner, and only the repository of the image changes", async () => {
  await using files = await folder();
  const before = (await files.read("helm/values.yaml")).split("\n");
  const { status, stderr } = files.run(commands("chart", "helm package"));
  assert.equal(status, 0, stderr);
  const after = (await files.read("helm/values.yaml")).split("\n");
  assert.deepEqual(
    after.filter((line, index) => line !== before[index]),
    ["  repository: ghcr.io/some-owner/holdfast"],
  );
  assert.match(await files.read("calls"), /helm push holdfast-\S+\.tgz oci:\/\/ghcr\.io\/some-owner\/charts\n$/);
});
