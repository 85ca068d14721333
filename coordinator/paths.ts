import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

/** Returns the folder of the files that servers read: redis.conf, users.acl, schema.sql and so on. */
export function filesFolder(): string {
  // helm/ is next to coordinator/ in the source tree and next to dist/; in the image the bundles share a folder with helm/.
  const folders = [join(here, "../helm/files"), join(here, "helm/files")];
  const folder = folders.find((candidate) => existsSync(join(candidate, "schema.sql")));
  if (folder === undefined) throw new Error(`the folder helm/files is missing: looked for ${folders.join(" and ")}`);
  return folder;
}

/** Returns the script that installs the servers; undefined in the image, which does not contain it. */
export function installScript(): string | undefined {
  // In the npm package, as in the source tree, dist/ is next to coordinator/.
  const folders = [here, join(here, "../coordinator")];
  return folders.map((folder) => join(folder, "platform/local/servers/install.sh")).find((file) => existsSync(file));
}

/**
 * Returns the path of another process's program: `source`, relative to coordinator/, or, when this code runs from a bundle,
 * the bundle `name` in the same folder.
 */
export function entryPoint(source: string, name: string): string {
  return import.meta.url.endsWith(".ts") ? join(here, source) : join(here, `${name}.js`);
}
