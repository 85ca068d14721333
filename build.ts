/** Bundles each program, so that a process starts without reading node_modules. */
import { rm } from "node:fs/promises";
import { type BuildOptions, build } from "esbuild";

const options: BuildOptions = {
  outdir: "dist",
  bundle: true,
  platform: "node",
  target: "node24",
  format: "esm",
  // Identifiers are not minified, to keep stack traces readable.
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: true,
  // CommonJS libraries call require for Node's built-in modules.
  banner: {
    js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);',
  },
  logLevel: "warning",
};

// The names of chunks contain a hash of their content, so chunks of earlier builds would remain.
await rm("dist", { recursive: true, force: true });
await Promise.all([
  build({
    ...options,
    entryPoints: { worker: "worker/main.ts", keeper: "coordinator/platform/local/servers/keeper-main.ts" },
  }),
  // Split into chunks: half of the code is the Kubernetes client, which is loaded only on Kubernetes.
  build({ ...options, entryPoints: { coordinator: "coordinator/main.ts" }, splitting: true }),
]);
