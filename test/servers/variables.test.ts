/** The variables that name the servers: what they become, and what is refused with one line that leads to the fix. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as z from "zod";
import { readInvocation } from "../../coordinator/config.ts";
import { readEnvironment } from "../../worker/environment.ts";
import { mysqlAddress, mysqlOptions, mysqlServerOf } from "../../worker/servers/mysql.ts";
import { PROMETHEUS_VARIABLES, prometheusAccess } from "../../worker/servers/prometheus.ts";
import {
  guestUrl,
  type RedisLogin,
  redisAddress,
  redisLogin,
  redisOptions,
  redisUrls,
  redisUsers,
} from "../../worker/servers/redis.ts";
import { checkServerVariables, forWorkers, ServerVariables } from "../../worker/servers/variables.ts";
import { SPEC } from "../platform/kubernetes/spec.ts";
import { type Certificates, makeCertificates } from "../support/certificates.ts";

/** The messages about these variables. */
function problems(variables: Readonly<Record<string, string>>): string[] {
  const schema = z.object({ ...ServerVariables.shape, ...PROMETHEUS_VARIABLES }).superRefine(checkServerVariables);
  return schema.safeParse(variables).error?.issues.map(({ message }) => message) ?? [];
}

const passwordOf = ({ password }: RedisLogin) => (typeof password === "object" ? password.value : password);

describe("a password in a URL", () => {
  const example = { MYSQL_URL: "mysql://u:PW@127.0.0.1:3306/db", REDIS_URL: "redis://u:PW@127.0.0.1:6379" };
  const urls = Object.entries({ ...example, PROMETHEUS_URL: "http://u:PW@127.0.0.1:9090/prom" });
  for (const [raw, encoded] of [
    ["sec%ret", "%25"],
    ["100%", "%25"],
    ["sec#ret", "%23"],
    ["sec/ret", "%2F"],
    ["sec?ret", "%3F"],
    ["3#sec", "%23"],
    ["3/sec@ret", "%2F"],
    ["3?sec=ret", "%3F"],
  ] as const)
    test(`${raw} is refused without any part of it, and ${encodeURIComponent(raw)} is accepted`, () => {
      for (const [variable, url] of urls) {
        const [message, ...others] = problems({ [variable]: url.replace("PW", raw) });
        assert.deepEqual(others, []);
        assert.match(message!, new RegExp(`^${variable}: .*${encoded}.*_PASSWORD$`));
        assert.doesNotMatch(message!, /sec|ret|100/);
        assert.deepEqual(problems({ [variable]: url.replace("PW", encodeURIComponent(raw)) }), []);
      }
    });

  test("it reaches the server as it is", () => {
    const password = "a%b#c/d?e@f:g[h]ü 1";
    const login = `u:${encodeURIComponent(password)}`;
    assert.equal(mysqlOptions({ MYSQL_URL: `mysql://${login}@h/db` }).password, password);
    assert.equal(redisLogin({ REDIS_URL: `redis://${login}@h` }, "lock").password, password);
    assert.equal(passwordOf(redisLogin({ REDIS_URL: "redis://h", REDIS_PASSWORD: password }, "lock")), password);
    assert.equal(mysqlOptions({ MYSQL_URL: "mysql://u:other@h/db", MYSQL_PASSWORD: password }).password, password);
  });
});

describe("what a URL may say", () => {
  for (const name of ["ssl-mode", "sslmode", "useSSL", "tls", "sslaccept", "sslcert", "ssl", "ssl_ca", "requireSSL"])
    test(`a parameter that asks for TLS is never ignored: ${name}`, () => {
      const [mysql] = problems({ MYSQL_URL: `mysql://u@h/db?${name}=REQUIRED` });
      assert.match(mysql!, new RegExp(`^MYSQL_URL: unknown parameter "${name}"; for TLS set MYSQL_TLS=required`));
      const [redis] = problems({ REDIS_URL: `redis://h?${name}=REQUIRED` });
      assert.match(redis!, new RegExp(`^REDIS_URL: unknown parameter "${name}"; for TLS write rediss://`));
    });

  for (const [variable, url, reason] of [
    ["MYSQL_URL", "mysql://u@h", /names no database/],
    ["MYSQL_URL", "mysql://u@h/", /names no database/],
    ["MYSQL_URL", "mysql://u@h/db?timezone=local", /unknown parameter "timezone"; known parameters: charset/],
    ["MYSQL_URL", "mysql://u@h/db?localAddress=127.0.0.2", /unknown parameter "localAddress"/],
    ["MYSQL_URL", "mysql://u@h/db?enableCleartextPlugin=true", /sends the password as it is; set MYSQL_TLS=required/],
    ["MYSQL_URL", "postgres://u@h/db", /write mysql:\/\//],
    ["MYSQL_URL", "h:3306/db", /write mysql:\/\//],
    ["MYSQL_URL", "mysql://u@h:port/db", /write mysql:\/\//],
    ["MYSQL_URL", "mysql://u@h:70000/db", /write mysql:\/\//],
    ["MYSQL_URL", "mysql://u@fd00::1/db", /write mysql:\/\//],
    ["MYSQL_URL", "mysql:///db", /write mysql:\/\//],
    ["REDIS_URL", "redis://h/zero", /must be a number/],
    ["REDIS_URL", "http://h", /write redis:\/\//],
    ["REDIS_URL", "redis://fd00::1:6379", /write redis:\/\//],
    ["PROMETHEUS_URL", "h:9090", /write http:\/\//],
    ["PROMETHEUS_URL", "http://h:9090?token=abc", /no parameters/],
  ] as const)
    test(`${url} as ${variable} is refused`, () => {
      const [message, ...others] = problems({ [variable]: url });
      assert.deepEqual(others, []);
      assert.match(message!, new RegExp(`^${variable}: `));
      assert.match(message!, reason);
    });

  test("IPv6 literals, names, defaults and the parameters of the driver", () => {
    const { host, port, database, user, charset } = mysqlOptions({
      MYSQL_URL: "mariadb://u@[fd00::1]/db?charset=utf8mb4",
    });
    assert.deepEqual([host, port, database, user, charset], ["fd00::1", 3306, "db", "u", "utf8mb4"]);
    assert.equal(mysqlAddress({ MYSQL_URL: "mysql://u:p@[fd00::1]:3307/db" }), "[fd00::1]:3307");
    assert.equal(
      mysqlOptions({ MYSQL_URL: "mysql://u@localhost/db?socketPath=/run/mysqld.sock" }).socketPath,
      "/run/mysqld.sock",
    );
    assert.deepEqual(redisOptions({ REDIS_URL: "redis://[::1]/2?family=6" }), {
      host: "::1",
      port: 6379,
      db: 2,
      family: 6,
    });
    assert.equal(redisAddress({ REDIS_URL: "redis://u:p@redis.example:7000" }), "redis.example:7000");
    assert.equal(
      prometheusAccess({ PROMETHEUS_URL: "http://u:p@[::1]:9090/prom" }).base.href,
      "http://[::1]:9090/prom/",
    );
    assert.equal(prometheusAccess({ PROMETHEUS_URL: "https://h/" }).base.href, "https://h/");
  });
});

test("every server of REDIS_URLS is checked, and REDIS_URLS needs REDIS_URL", () => {
  const [message] = problems({ REDIS_URL: "redis://a", REDIS_URLS: "redis://a, redis://u:x#y@b" });
  assert.match(message!, /^REDIS_URLS: /);
  assert.match(problems({ REDIS_URLS: "redis://a" })[0]!, /REDIS_URLS also needs REDIS_URL/);
  assert.deepEqual(redisUrls({ REDIS_URL: "redis://a", REDIS_URLS: " redis://b, redis://c," }), [
    "redis://b",
    "redis://c",
  ]);
});

test("a user of users.acl without a password logs in as REDIS_URL says", () => {
  const variables = { REDIS_URL: "redis://h", REDIS_PASSWORD: "one", REDIS_PASSWORD_LOCK: "two" };
  const [lock, peer] = [redisLogin(variables, "lock"), redisLogin(variables, "peer")];
  assert.deepEqual([lock.user, passwordOf(lock), peer.user, passwordOf(peer)], ["lock", "two", undefined, "one"]);
  assert.deepEqual(redisUsers(variables), ["lock"]);
});

test("the URL for a lock of the user's own logs in as guest, where that is possible", () => {
  const login = { REDIS_PASSWORD: "of all", REDIS_PASSWORD_LOCK: "of lock" };
  const guest = { ...login, REDIS_PASSWORD_GUEST: "a/b %" };
  for (const [url, expected] of [
    ["redis://h", "redis://guest:a%2Fb%20%25@h:6379"],
    ["rediss://app:p@[::1]:7000/2?family=6", "rediss://guest:a%2Fb%20%25@[::1]:7000/2"],
    ["redis+sentinel://h/main", undefined],
    ["redis+cluster://h", undefined],
  ] as const) {
    assert.equal(guestUrl({ REDIS_URL: url, ...guest }), expected);
    assert.equal(guestUrl({ REDIS_URL: url, ...login }), undefined);
  }
  assert.equal(
    guestUrl({ REDIS_URL: "redis://h", REDIS_PASSWORD_GUEST_COMMAND: "printf x" }),
    "redis://guest:x@h:6379",
  );
});

test("in a worker an empty variable counts as not set, and messages contain no password", () => {
  const given = {
    HOLDFAST_SPEC: JSON.stringify(SPEC),
    HOLDFAST_UID: "u",
    MYSQL_URL: "mysql://u@h/db",
    REDIS_URL: "redis://:p@h",
    ...Object.fromEntries(["LOCK", "SEED", "PEER"].map((user) => [`REDIS_PASSWORD_${user}`, ""])),
    MYSQL_TLS: "",
  };
  assert.throws(() => readEnvironment(given), /HOLDFAST_TOKEN is missing/);
  const { environment } = readEnvironment({ ...given, HOLDFAST_TOKEN_COMMAND: "printf token" });
  assert.equal(environment.HOLDFAST_TOKEN, "token");
  const { user, password } = redisLogin(environment, "lock");
  assert.deepEqual([user, password], [undefined, "p"]);
  assert.throws(
    () => readEnvironment({ ...given, HOLDFAST_TOKEN: "t", REDIS_URL: "redis://:secret%@h" }),
    (error) => /REDIS_URL: write % as %25/.test(String(error)) && !String(error).includes("secret"),
  );
});

test("workers get everything but the passwords of the user monitor and of administrators", () => {
  const names = Object.keys(ServerVariables.shape);
  const given = forWorkers(Object.fromEntries(names.map((name) => [name, name])) as ServerVariables);
  const kept = Object.keys(given);
  assert.deepEqual(
    names.filter((name) => !kept.includes(name) && !name.includes("_ADMIN_")),
    ["REDIS_PASSWORD_MONITOR", "REDIS_PASSWORD_MONITOR_FILE", "REDIS_PASSWORD_MONITOR_COMMAND"],
  );
  for (const name of ["ZOOKEEPER_ADMIN_PASSWORD", "CONSUL_ADMIN_TOKEN", "ETCD_ADMIN_PASSWORD"])
    assert.ok(names.includes(name), name);
  assert.deepEqual(
    kept.filter((name) => name.includes("_ADMIN_")),
    [],
  );
});

describe("several MySQL servers", () => {
  const [first, second] = ["mysql://u@a/db", "mysql://u@b:3307/db"] as const;

  test("are assigned by the index of the worker, each with the same password", () => {
    const variables = { MYSQL_URL: first, MYSQL_URLS: `${first}, ${second}`, MYSQL_PASSWORD: "p" };
    assert.deepEqual(problems(variables), []);
    const used = [0, 1, 2].map((index) => mysqlOptions(mysqlServerOf(variables, index)));
    assert.deepEqual(
      used.map(({ host, port, password }) => [host, port, password]),
      [
        ["a", 3306, "p"],
        ["b", 3307, "p"],
        ["a", 3306, "p"],
      ],
    );
    for (const [workers, mysqlServers] of [
      ["1", undefined],
      ["2", 2],
      ["8", 2],
    ] as const) {
      const read = readInvocation(["--workers", workers, "--strategies", "none"], variables, "0");
      assert.ok(read.command === "run");
      assert.equal(read.config.plans[0]!.mysqlServers, mysqlServers, `${workers} workers`);
    }
    assert.equal(mysqlServerOf({ MYSQL_URL: second }, 1).MYSQL_URL, second);
    assert.equal(forWorkers(variables).MYSQL_URLS, variables.MYSQL_URLS);
  });

  for (const [variables, message] of [
    [{ MYSQL_URLS: `${first},${second}` }, /^MYSQL_URLS also needs MYSQL_URL/],
    [
      { MYSQL_URL: second, MYSQL_URLS: `${first},${second}` },
      /^MYSQL_URLS: it must begin with the server of MYSQL_URL$/,
    ],
    [{ MYSQL_URL: first, MYSQL_URLS: "," }, /^MYSQL_URLS: it must begin/],
    [{ MYSQL_URL: first, MYSQL_URLS: `${first},mysql://u@b` }, /^MYSQL_URLS: it names no database/],
  ] as const)
    test(`${JSON.stringify(variables)} is refused`, () => {
      const [found, ...others] = problems(variables);
      assert.deepEqual(others, []);
      assert.match(found!, message);
    });
});

describe("variables that contradict each other or name no usable file", () => {
  let certificates: Certificates;
  before(async () => {
    certificates = await makeCertificates();
  });
  after(() => certificates?.[Symbol.asyncDispose]());

  const mysql = { MYSQL_URL: "mysql://u@h/db" };
  for (const [what, message, variables] of [
    [
      "a secret in two ways",
      /^MYSQL_PASSWORD and MYSQL_PASSWORD_FILE are both set/,
      () => ({ MYSQL_PASSWORD: "a", MYSQL_PASSWORD_FILE: "b" }),
    ],
    [
      "a file of a secret",
      /^MYSQL_PASSWORD_FILE: cannot read \/nowhere: ENOENT/,
      () => ({ MYSQL_PASSWORD_FILE: "/nowhere" }),
    ],
    ["an empty secret", /^MYSQL_PASSWORD_FILE: \/dev\/null is empty/, () => ({ MYSQL_PASSWORD_FILE: "/dev/null" })],
    [
      "a file of a Redis user",
      /^REDIS_PASSWORD_PEER_FILE: cannot read \/nowhere/,
      () => ({ REDIS_URL: "redis://h", REDIS_PASSWORD_PEER_FILE: "/nowhere" }),
    ],
    ["a file of a CA", /^MYSQL_TLS_CA: cannot read \/nowhere: ENOENT/, () => ({ MYSQL_TLS_CA: "/nowhere" })],
    [
      "a CA without a certificate",
      /^MYSQL_TLS_CA: \/dev\/null contains no certificate/,
      () => ({ MYSQL_TLS_CA: "/dev/null" }),
    ],
    [
      "a client certificate without its key",
      /^MYSQL_TLS_CERT and MYSQL_TLS_KEY: .* needs both/,
      () => ({ MYSQL_TLS_CERT: certificates.clientCert }),
    ],
    [
      "the key of another certificate",
      /^MYSQL_TLS_CERT and MYSQL_TLS_KEY: the key does not belong/,
      () => ({ MYSQL_TLS_CERT: certificates.clientCert, MYSQL_TLS_KEY: certificates.key }),
    ],
    [
      "TLS on and off",
      /^MYSQL_TLS: it is off, but MYSQL_TLS_CA asks for TLS/,
      () => ({ MYSQL_TLS: "off", MYSQL_TLS_CA: certificates.ca }),
    ],
    [
      "TLS on and off, by the URL",
      /^REDIS_TLS: it is off, but REDIS_URL asks for TLS/,
      () => ({ REDIS_URL: "rediss://h", REDIS_TLS: "off" }),
    ],
    ["TLS to a private server", /^REDIS_TLS also needs REDIS_URL/, () => ({ REDIS_TLS: "required" })],
  ] as const)
    test(what, () => {
      const [found, ...others] = problems({ ...mysql, ...variables() });
      assert.deepEqual(others, []);
      assert.match(found!, message);
    });
});
