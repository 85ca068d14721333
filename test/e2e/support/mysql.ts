import type { Site } from "./site.ts";

/** Runs a query on the bundled MySQL of a site. Returns the columns of each row as text. */
export async function mysqlRows({ kubectl }: Site, query: string): Promise<string[][]> {
  const client = `MYSQL_PWD="$MYSQL_PASSWORD" mysql --host=127.0.0.1 --user="$MYSQL_USER" --batch --skip-column-names "$MYSQL_DATABASE" --execute="${query}"`;
  const printed = await kubectl(["exec", "demo-holdfast-mysql-0", "--", "sh", "-c", client]);
  return printed
    .split("\n")
    .filter(Boolean)
    .map((line) => line.split("\t"));
}
