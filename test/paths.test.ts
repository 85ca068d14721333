import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { entryPoint, filesFolder, installScript } from "../coordinator/paths.ts";

const ROOT = join(import.meta.dirname, "..");
const SCRIPT = "coordinator/platform/local/servers/install.sh";
let folder: string;
before(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "holdfast-files-")));
  await mkdir(join(folder, "app"), { recursive: true });
  await cp(join(ROOT, "helm/files"), join(folder, "app/helm/files"), { recursive: true });
  await cp(join(ROOT, SCRIPT), join(folder, "app", SCRIPT));
  await writeFile(join(folder, "package.json"), '{"type":"module"}');
});
after(() => rm(folder, { recursive: true }));

test("from the source tree", () => {
  assert.equal(filesFolder(), join(ROOT, "helm/files"));
  assert.equal(
    entryPoint("platform/local/servers/keeper-main.ts", "keeper"),
    join(ROOT, "coordinator/platform/local/servers/keeper-main.ts"),
  );
  assert.equal(installScript(), join(ROOT, SCRIPT));
});

for (const [where, place, script] of [
  ["a bundle in dist/", "app/dist", `app/${SCRIPT}`],
  ["the image, where the bundles lie beside helm/", "app", undefined],
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
    assert.equal(files.installScript(), script && join(folder, script));
  });

test("a bundle that was moved away from its files says what is missing", async () => {
  const bundle = join(folder, "bundle.js");
  await build({ entryPoints: [join(ROOT, "coordinator/paths.ts")], outfile: bundle, platform: "node", format: "esm" });
  const files = (await import(pathToFileURL(bundle).href)) as typeof import("../coordinator/paths.ts");
  assert.throws(() => files.filesFolder(), /helm\/files is missing: looked for .* and /);
});
