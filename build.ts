/** Bundles each program into one file, so that a process starts without reading node_modules. */
import { build } from "esbuild";

await build({
  entryPoints: {
    worker: "worker/main.ts",
    coordinator: "coordinator/main.ts",
    keeper: "coordinator/servers/keeper-main.ts",
  },
  outdir: "dist",
  bundle: true,
  platform: "node",
  target: "node24",
  format: "esm",
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: true,
  // Libraries in CommonJS call require for the modules of node.
  banner: {
    js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);',
  },
  logLevel: "warning",
});
