/**
 * Bundles each program, so that a process starts without reading node_modules, and collects the licenses of the packages in
 * the bundles.
 */
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type BuildOptions, build, type Metafile } from "esbuild";
import packageJson from "./package.json" with { type: "json" };

const NODE_MAJOR_MIN = Number(packageJson.engines.node.replace(">=", ""));

const options = {
  outdir: "dist",
  bundle: true,
  platform: "node",
  target: `node${NODE_MAJOR_MIN}`,
  format: "esm",
  // Identifiers are not minified, to keep stack traces readable.
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: true,
  metafile: true,
  // CommonJS libraries call require for Node's built-in modules.
  banner: {
    js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);',
  },
  logLevel: "warning",
} satisfies BuildOptions;

// The names of chunks contain a hash of their content, so chunks of earlier builds would remain.
await rm("dist", { recursive: true, force: true });
const results = await Promise.all([
  build({
    ...options,
    entryPoints: {
      "worker-bundle": "worker/main.ts",
      "keeper-bundle": "coordinator/platform/local/servers/keeper-main.ts",
    },
  }),
  // Split into chunks: half of the code is the Kubernetes client, which is loaded only on Kubernetes.
  build({ ...options, entryPoints: { "coordinator-bundle": "coordinator/main.ts" }, splitting: true }),
]);
for (const name of ["worker", "keeper", "coordinator"]) await writeFile(`dist/${name}.js`, startFile(name));
await writeFile("dist/licenses.txt", await licenses(results.map(({ metafile }) => metafile)));

// --- Internal helpers -----------------------------------------------------------------------------------------------

/**
 * The file that starts a bundle. It imports nothing before it has compared versions: an older Node.js refuses a module that
 * imports a name that it does not have before it executes any of it.
 */
function startFile(name: string): string {
  return `#!/usr/bin/env node
if (Number.parseInt(process.versions.node) < ${NODE_MAJOR_MIN}) {
  process.stderr.write(\`holdfast: Node.js \${process.versions.node} is too old: install Node.js ${NODE_MAJOR_MIN} or later, or use \\\`make demo\\\` in a checkout of Holdfast, which installs it\\n\`);
  process.exit(2);
}
await import("./${name}-bundle.js");
`;
}

/** The license files of all packages in the bundles. Most licenses require that a copy goes with the code. */
async function licenses(metafiles: readonly Metafile[]): Promise<string> {
  const inputs = metafiles.flatMap((metafile) => Object.keys(metafile.inputs));
  const folders = inputs.flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0] ?? []);
  const texts = [...new Set(folders)].sort().map(async (folder) => {
    const { name, version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file)).sort();
    const contents = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
    return [`${name} ${version} (${license})`, ...contents.map((content) => content.trim())].join("\n\n");
  });
  return `${(await Promise.all(texts)).join(`\n\n${"-".repeat(80)}\n\n`)}\n`;
}
