import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { ServerError } from "../../../errors.ts";
import { installScript } from "../../../paths.ts";

/** Folders of servers that an ordinary user's PATH often lacks. */
const FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/usr/bin"];

/** A program that is not on this machine. */
export class ProgramMissing extends ServerError {}

/** Returns the first of these programs that is installed. Throws ProgramMissing with the commands that install it on Debian. */
export async function findProgram(names: readonly string[], debianPackage: string): Promise<string> {
  const found = await lookForProgram(names);
  if (found !== undefined) return found;
  throw missingProgram(names.join(" or "), debianPackage);
}

export function missingProgram(name: string, debianPackage: string): ProgramMissing {
  const script = installScript();
  const all = script === undefined ? "" : `; all servers that are missing: sh "${script}"`;
  return new ProgramMissing(
    name,
    "not installed",
    `install it (Debian, Ubuntu: sudo apt-get install ${debianPackage}${all}), or name your own server in the environment (see --help)`,
  );
}

/** Returns the first of these programs that is installed; undefined if none is. */
export async function lookForProgram(names: readonly string[]): Promise<string | undefined> {
  const folders = [...(process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== ""), ...FOLDERS];
  for (const name of names)
    for (const folder of folders) {
      const file = join(folder, name);
      if (
        await access(file, constants.X_OK).then(
          () => true,
          () => false,
        )
      )
        return file;
    }
  return undefined;
}
