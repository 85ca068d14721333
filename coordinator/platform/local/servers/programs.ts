import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { ServerError } from "../../../errors.ts";

/** Folders of servers that an ordinary user's PATH often lacks. */
const FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/usr/bin"];

/** Returns the first of these programs that is installed. Throws ServerError with the command that installs it on Debian. */
export async function findProgram(names: readonly string[], debianPackage: string): Promise<string> {
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
  throw new ServerError(
    names.join(" or "),
    "not installed",
    `install it (Debian, Ubuntu: sudo apt-get install ${debianPackage}), or name your own server in the environment (see --help)`,
  );
}
