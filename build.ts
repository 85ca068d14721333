/** Bundles each program, so that a process starts without reading node_modules. */
import { rm } from "node:fs/promises";
import { type BuildOptions, build } from "esbuild";

const options: BuildOptions = {
  outdir: "dist",
  bundle: true,
  platform: "node",
  target: "node24",
  format: "esm",
  // Names stay as they are, for stacks that can be read.
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: true,
  // Libraries in CommonJS call require for the modules of node.
  banner: {
    js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);',
  },
  logLevel: "warning",
};

// Pieces have names of their own contents: those of earlier builds would stay.
await rm("dist", { recursive: true, force: true });
await Promise.all([
  build({
    ...options,
    entryPoints: { worker: "worker/main.ts", keeper: "coordinator/platform/local/servers/keeper-main.ts" },
  }),
  // In pieces: the client of the API server is half of it, and is loaded only where there is one.
  build({ ...options, entryPoints: { coordinator: "coordinator/main.ts" }, splitting: true }),
]);
