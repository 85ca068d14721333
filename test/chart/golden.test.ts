import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { assertGolden } from "../support/golden.ts";
import { bothHelms } from "./helm.ts";
import { CI_VALUES, objectsOf, ROOT, template } from "./objects.ts";

for (const helm of bothHelms()) {
  for (const values of CI_VALUES) {
    test(`Helm ${helm.major} lints and renders ${values} as it did`, () => {
      helm.run("lint", "--strict", "helm", "--values", `helm/ci/${values}`);
      assertGolden(`chart/${values.replace("-values", "")}`, stable(template(helm, "--values", `helm/ci/${values}`)));
    });
  }

  test(`Helm ${helm.major} puts the hash of each Redis password into the users file`, () => {
    const secrets = objectsOf(template(helm)).filter(({ kind }) => kind === "Secret");
    const passwords = secrets.find(({ metadata }) => metadata.name === "demo-holdfast").stringData;
    const users: string = secrets.find(({ metadata }) => metadata.name === "demo-holdfast-redis-users").stringData[
      "users.acl"
    ];
    for (const user of ["lock", "monitor"]) {
      const password = passwords[`redis-${user}-password`];
      assert.match(password, /^[A-Za-z0-9]{32}$/);
      const hash = createHash("sha256").update(password).digest("hex");
      assert.match(users, new RegExp(`^user ${user} on #${hash} `, "m"));
    }
  });
}

/** The rendered text without values that differ between renders, and without files that are mounted unchanged. */
function stable(yaml: string): string {
  let text = yaml
    .replace(/^( {2}[a-z-]+: )([A-Za-z0-9]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/gm, "$1<generated>")
    .replace(/^( +checksum\/[a-z]+: )[0-9a-f]{64}$/gm, "$1<sha256>")
    .replace(/^( {2}users\.acl: \|\n)(?:[ ]{4}.*\n)+/gm, "$1    <files/users.acl>\n");
  for (const file of readdirSync(new URL("helm/files", ROOT)).filter((name) => name !== "prometheus.yml")) {
    const content = readFileSync(new URL(`helm/files/${file}`, ROOT), "utf8");
    text = text.replaceAll(content.trimEnd().replace(/^/gm, "    "), () => `    <files/${file}>`);
  }
  return text;
}
