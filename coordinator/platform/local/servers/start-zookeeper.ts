import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createZooKeeperClient } from "../../../clients/zookeeper.ts";
import type { Keeper, KeptProcess } from "./keeper.ts";
import { freePort } from "./ports.ts";
import { findProgram, missingProgram } from "./programs.ts";
import { waitUntilReady } from "./ready.ts";
import { serverProcess } from "./server-process.ts";
import type { StartedService } from "./started-service.ts";

const READY_MS = 30_000;
const PACKAGE = "libzookeeper-java default-jre-headless";

export interface ZooKeeperFolder {
  /** Where its files are; must exist. */
  readonly folder: string;
  readonly port: number;
  readonly adminPassword: string;
  /** Further lines of its configuration. */
  readonly settings?: readonly string[];
}

/** Starts a ZooKeeper on loopback with a user for the workers. Throws ServerError. */
export async function startZooKeeper(keeper: Keeper): Promise<StartedService> {
  const folder = join(keeper.folder, "zookeeper");
  await mkdir(folder);
  const [password, adminPassword] = [randomBytes(16).toString("hex"), randomBytes(16).toString("hex")];
  const port = await freePort();
  const { command, args } = await zooKeeperCommand({ folder, port, adminPassword });
  const server: KeptProcess = keeper.run({ command, args, cwd: folder, log: join(keeper.folder, "zookeeper.log") });
  const variables = {
    ZOOKEEPER_URL: `zookeeper://holdfast@127.0.0.1:${port}`,
    ZOOKEEPER_PASSWORD: password,
    ZOOKEEPER_ADMIN_PASSWORD: adminPassword,
  };
  const client = createZooKeeperClient(variables);
  const thing = `ZooKeeper (${command})`;
  const answer = () => client.check();
  const version = await waitUntilReady(server, thing, READY_MS, answer);
  return { variables, version, process: serverProcess(server, { thing, readyMs: READY_MS, answer }) };
}

/**
 * Writes the configuration and returns the command that starts the server. A tick of 200 ms allows sessions of 400 ms.
 * Throws ProgramMissing.
 */
export async function zooKeeperCommand({ folder, port, adminPassword, settings = [] }: ZooKeeperFolder) {
  const command = await findProgram(["java"], PACKAGE);
  const missing = JARS.filter((name) => !existsSync(jar(name)));
  if (missing.length > 0) throw missingProgram(jar("zookeeper"), PACKAGE);
  const lines = [
    "tickTime=200",
    "maxSessionTimeout=600000",
    "dataDir=data",
    `clientPort=${port}`,
    "clientPortAddress=127.0.0.1",
    "maxClientCnxns=0",
    "admin.enableServer=false",
    ...settings,
  ];
  await writeFile(join(folder, "zoo.cfg"), `${lines.join("\n")}\n`);
  const digest = createHash("sha1").update(`super:${adminPassword}`).digest("base64");
  // The JVM reads this file, so that the digest is not in the list of processes.
  await writeFile(join(folder, "java.args"), `"-D${SUPER_DIGEST}=super:${digest}"\n`, { mode: 0o600 });
  const classPath = JARS.map(jar).join(":");
  return {
    command,
    args: [
      ...JVM_OPTIONS,
      "@java.args",
      "-cp",
      classPath,
      "org.apache.zookeeper.server.ZooKeeperServerMain",
      "zoo.cfg",
    ],
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const SUPER_DIGEST = "zookeeper.DigestAuthenticationProvider.superDigest";
/** Without further threads and memory for a server that lives for a few minutes. */
const JVM_OPTIONS = ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
/** The jars of Debian's libzookeeper-java and of the packages that it depends on. */
const JARS = [
  "zookeeper",
  "zookeeper-jute",
  "slf4j-api",
  "slf4j-simple",
  ...["buffer", "codec", "common", "handler", "resolver", "transport"].map((part) => `netty-${part}`),
  ...["unix-common", "epoll"].map((part) => `netty-transport-native-${part}`),
  "metrics-core",
  "snappy-java",
  "commons-io",
];
const jar = (name: string) => `/usr/share/java/${name}.jar`;
