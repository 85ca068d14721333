import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { checkAccess, probeAcl } from "../../coordinator/clients/redis-acl.ts";
import { fillUsersFile, randomPasswords } from "../../coordinator/clients/redis-users.ts";
import { ServerError } from "../../coordinator/errors.ts";
import { REDIS_USERS } from "../../worker/contract.ts";
import { passwordVariable, type RedisVariables } from "../../worker/servers/redis.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

const USERS_FILE = join(import.meta.dirname, "../../helm/files/users.acl");
const WORKER = join(import.meta.dirname, "../../worker");
/** The passwords of the tests' Redis. */
const passwords = Object.fromEntries(REDIS_USERS.map((user) => [passwordVariable(user), user]));

let redis: TestRedis;
let variables: RedisVariables;
before(async () => {
  redis = await startRedis();
  variables = { REDIS_URL: `redis://127.0.0.1:${redis.port}`, ...passwords };
});
after(() => redis.stop());
/** Restores the rules of the file. */
beforeEach(async () => {
  await redis.kill();
  await redis.start();
});

test("the users can do what they must", async () => {
  await checkAccess(variables);
  assert.equal(await redis.admin.dbsize(), 0, "and leave no key");
});

test("everything else is refused, with the answer of Redis", async () => {
  const probes = await probeAcl(variables);
  assert.ok(probes.length > 30);
  for (const { user, attempt, outcome, answer } of probes) {
    assert.equal(outcome, "refused", `${user}: ${attempt} was allowed`);
    assert.match(answer, /^NOPERM |^NOAUTH |^WRONGPASS |^ERR (The user executing the script|ACL failure in script)/);
  }
  const tried = (user: string) =>
    probes.filter((probe) => probe.user === user).map(({ attempt }) => attempt.split(" ")[0]);
  for (const command of ["GET", "SET", "FLUSHALL", "SWAPDB", "CONFIG", "KEYS", "SCRIPT", "ACL", "SUBSCRIBE"])
    assert.ok(tried("lock").includes(command), command);
  for (const user of REDIS_USERS)
    for (const command of ["GET", "SET", "FLUSHALL"]) assert.ok(tried(user).includes(command), `${user}: ${command}`);
});

test("the whole matrix: each user with each forbidden thing and with the keys of each other", async () => {
  const probes = await probeAcl(variables, { matrix: true });
  assert.deepEqual(
    probes.filter(({ outcome }) => outcome !== "refused"),
    [],
  );
  for (const user of [...REDIS_USERS, "health"])
    assert.ok(probes.filter((probe) => probe.user === user).length >= 19, user);
});

test("a command that the server does not have is neither refused nor allowed", async () => {
  const missing = ["FLUSHALL", "FLUSHDB", "KEYS", "SHUTDOWN"];
  const hardened = await startRedis(missing.flatMap((command) => ["--rename-command", command, ""]));
  try {
    const probes = await probeAcl({ REDIS_URL: `redis://127.0.0.1:${hardened.port}`, ...passwords });
    for (const { user, attempt, outcome, answer } of probes) {
      const isMissing = user !== "nobody" && missing.some((command) => attempt.includes(command));
      assert.equal(outcome, isMissing ? "unanswered" : "refused", `${user}: ${attempt}: ${answer}`);
    }
    assert.ok(probes.filter(({ outcome }) => outcome === "unanswered").length >= missing.length);
  } finally {
    await hardened.stop();
  }
});

test("an attempt that is allowed is reported and does no harm", async () => {
  await redis.admin.acl("SETUSER", "lock", "~*", "&*", "+@all");
  await redis.admin.acl("SETUSER", "default", "on", "nopass", "~*", "+@all");
  await redis.admin.set("precious", "1");
  await redis.admin.select(1);
  await redis.admin.set("other database", "1");
  await redis.admin.select(0);
  const sha = await redis.admin.script("LOAD", "return 1");

  const probes = await probeAcl(variables);
  assert.deepEqual(
    probes.filter(({ outcome }) => outcome === "unanswered"),
    [],
  );
  const through = probes
    .filter(({ outcome }) => outcome === "allowed")
    .map(({ user, attempt }) => `${user} ${attempt}`);
  const expected = probes
    .filter(({ user, attempt }) => user === "lock" || (user === "nobody" && !/^AUTH (?!default)\w+ /.test(attempt)))
    .map(({ user, attempt }) => `${user} ${attempt}`);
  assert.deepEqual(through, expected);

  assert.equal(await redis.admin.get("precious"), "1");
  assert.deepEqual(await redis.admin.script("EXISTS", sha as string), [1]);
  await redis.admin.select(1);
  assert.equal(await redis.admin.get("other database"), "1");
  await redis.admin.select(0);
});

for (const { rules, user, message } of [
  {
    user: "lock",
    rules: ["-rpush"],
    message: /user lock, RPUSH: NOPERM .*; compare the user's rules with helm\/files\/users.acl/,
  },
  { user: "lock", rules: ["resetkeys", "~other:*"], message: /user lock, SET: NOPERM .* (a key|keys)\b/ },
  { user: "lock", rules: ["resetchannels"], message: /user lock, SPUBLISH: NOPERM .* channels?\b/ },
  { user: "monitor", rules: ["-info"], message: /user monitor, INFO: NOPERM / },
  { user: "guest", rules: ["-script|load"], message: /user guest, SCRIPT: NOPERM / },
  {
    user: "monitor",
    rules: ["off"],
    message: /user monitor, PING: WRONGPASS .*; give the user's password in REDIS_PASSWORD_MONITOR/,
  },
])
  test(`a user who lacks what it needs: ${user} ${rules.join(" ")}`, async () => {
    await redis.admin.acl("SETUSER", user, ...rules);
    await assert.rejects(checkAccess(variables), (error) => {
      assert.ok(error instanceof ServerError && error.final);
      assert.match(error.message, message);
      return true;
    });
  });

test("a server without the user guest works as before, and so does one login without rights on its keys", async () => {
  await redis.admin.acl("DELUSER", "guest");
  const { REDIS_PASSWORD_GUEST: _, ...others } = variables;
  const granted = await checkAccess(others);
  assert.deepEqual(granted.map(({ user }) => user).sort(), ["lock", "monitor", "peer", "seed"]);
  const probes = await probeAcl(others, { matrix: true });
  assert.deepEqual(
    probes.filter(({ user, outcome }) => user === "guest" || outcome !== "refused"),
    [],
  );

  const keys = ["lock", "seed", "peer"].map((name) => `~holdfast:${name}:*`);
  await redis.admin.acl("SETUSER", "app", "on", ">app", "resetkeys", ...keys, "&*", "+@all");
  await checkAccess({ REDIS_URL: redis.url("app") });
});

test("an attempt of the user guest that is allowed is reported", async () => {
  await redis.admin.acl("SETUSER", "guest", "~*", "+config");
  const probes = await probeAcl(variables, { matrix: true });
  assert.deepEqual(
    probes.filter(({ outcome }) => outcome !== "refused").map(({ user, attempt }) => `${user} ${attempt}`),
    [
      ...["GET holdfast:lock:probe", "GET holdfast:seed:probe", "GET holdfast:peer:probe", "GET holdfast:probe"],
      ...["SET holdfast:probe 1 PX 1000", `EVAL "return redis.call('GET', 'holdfast:probe')" 0`, "CONFIG GET port"],
    ].map((attempt) => `guest ${attempt}`),
  );
});

test("an unreachable Redis is an error, not a refusal", async () => {
  await redis.kill();
  for (const ask of [checkAccess, probeAcl])
    await assert.rejects(
      ask(variables),
      /^ServerError: Redis at 127.0.0.1:\d+: .*ECONNREFUSED.*; start it or correct REDIS_URL$/,
    );
});

for (const [user, files, direct] of [
  [
    "lock",
    ["locks/redis-scripts.ts", "locks/redlock.ts"],
    ["ping", "eval", "evalsha", "ssubscribe", "sunsubscribe", "cluster|slots"],
  ],
  ["seed", ["locks/constant-value-lock.ts"], ["ping", "eval", "evalsha", "set", "cluster|slots"]],
] as const)
  test(`the user ${user} may run the commands of its lock, and no other`, async () => {
    const sources = await Promise.all(files.map((file) => readFile(join(WORKER, file), "utf8")));
    const inScripts = sources.flatMap((source) =>
      [...source.matchAll(/redis\.call\('(\w+)'(?:, '([A-Z]+)')?/g)].map(([, name, part]) =>
        part === undefined ? name! : `${name}|${part}`,
      ),
    );
    const used = new Set([...inScripts.map((name) => name.toLowerCase()), ...direct]);
    const line = new RegExp(`^user ${user} .*$`, "m").exec(await readFile(USERS_FILE, "utf8"))![0];
    const allowed = [...line.matchAll(/\+(\S+)/g)].map(([, name]) => name!);
    assert.deepEqual(allowed.toSorted(), [...used].sort());
  });

test("the users' file contains only hashes, one for each user", async () => {
  const template = await readFile(USERS_FILE, "utf8");
  const secrets = randomPasswords();
  assert.notEqual(secrets.lock, randomPasswords().lock);
  const filled = fillUsersFile(template, secrets);
  assert.ok(!filled.includes(secrets.lock) && !filled.includes(secrets.monitor));
  assert.match(filled, /^user lock on #[0-9a-f]{64} /m);
  assert.throws(() => fillUsersFile(`${template}user admin on #%ADMIN% +@all\n`, secrets), /without a password: ADMIN/);
});
