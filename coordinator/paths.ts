import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

/** The folder of the files that servers read: redis.conf, users.acl, schema.sql and so on. */
export function filesFolder(): string {
  // Beside coordinator/ in the source tree and beside dist/; in the image, the bundles and helm/ share one folder.
  const folders = [join(here, "../helm/files"), join(here, "helm/files")];
  const folder = folders.find((candidate) => existsSync(join(candidate, "schema.sql")));
  if (folder === undefined) throw new Error(`the folder helm/files is missing: looked for ${folders.join(" and ")}`);
  return folder;
}

/** The program of another process: `source`, relative to coordinator/, or in a bundle the bundle `name` beside it. */
export function entryPoint(source: string, name: string): string {
  return import.meta.url.endsWith(".ts") ? join(here, source) : join(here, `${name}.js`);
}
