/** `node helm/tools/main.ts chart` writes values.schema.json and the README's table; `k8s` writes ../k8s (needs helm). */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { MANIFESTS, manifests } from "./manifests.ts";
import { valueDocs, withTable } from "./readme.ts";
import { valuesSchema } from "./schema.ts";

const chart = new URL("../", import.meta.url);
const read = (name: string) => readFileSync(new URL(name, chart), "utf8");

const command = process.argv[2];
if (command === "chart") {
  writeFileSync(new URL("values.schema.json", chart), valuesSchema());
  writeFileSync(new URL("README.md", chart), withTable(read("README.md"), valueDocs(read("values.yaml"))));
} else if (command === "k8s") {
  const helm = (arguments_: string[]) =>
    execFileSync("helm", arguments_, { cwd: new URL("../", chart), encoding: "utf8" });
  const files = manifests(helm, read("files/users.acl"));
  const folder = new URL(`../${MANIFESTS}/`, chart);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(new URL(name, folder), text);
} else {
  process.stderr.write("usage: node helm/tools/main.ts chart|k8s\n");
  process.exit(2);
}
