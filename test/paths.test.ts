import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { entryPoint, filesFolder } from "../coordinator/paths.ts";

const ROOT = join(import.meta.dirname, "..");
let folder: string;
before(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "holdfast-files-")));
  await mkdir(join(folder, "app"), { recursive: true });
  await cp(join(ROOT, "helm/files"), join(folder, "app/helm/files"), { recursive: true });
  await writeFile(join(folder, "package.json"), '{"type":"module"}');
});
after(() => rm(folder, { recursive: true }));

test("from the source tree", () => {
  assert.equal(filesFolder(), join(ROOT, "helm/files"));
  assert.equal(
    entryPoint("platform/local/servers/keeper-main.ts", "keeper"),
    join(ROOT, "coordinator/platform/local/servers/keeper-main.ts"),
  );
});

for (const [where, place] of [
  ["a bundle in dist/", "app/dist"],
  ["the image, where the bundles lie beside helm/", "app"],
] as const)
  test(`from ${where}`, async () => {
    const bundle = join(folder, place, "bundle.js");
    await build({
      entryPoints: [join(ROOT, "coordinator/paths.ts")],
      outfile: bundle,
      platform: "node",
      format: "esm",
    });
    const files = (await import(pathToFileURL(bundle).href)) as typeof import("../coordinator/paths.ts");
    assert.equal(files.filesFolder(), join(folder, "app/helm/files"));
    assert.equal(files.entryPoint("platform/local/servers/keeper-main.ts", "keeper"), join(folder, place, "keeper.js"));
  });

test("a bundle that was moved away from its files says what is missing", async () => {
  const bundle = join(folder, "bundle.js");
  await build({ entryPoints: [join(ROOT, "coordinator/paths.ts")], outfile: bundle, platform: "node", format: "esm" });
  const files = (await import(pathToFileURL(bundle).href)) as typeof import("../coordinator/paths.ts");
  assert.throws(() => files.filesFolder(), /helm\/files is missing: looked for .* and /);
});
