import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { ServerError } from "../../../errors.ts";

/** Servers live in folders that an ordinary user's PATH often lacks. */
const FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/usr/bin"];

/** The first of these programs that is installed. Throws ServerError that names the Debian package and the command. */
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
    "is not installed",
    `install it (Debian, Ubuntu: sudo apt-get install ${debianPackage}), or name a server of your own in the environment (see --help)`,
  );
}
