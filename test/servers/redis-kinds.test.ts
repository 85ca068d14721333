/** What REDIS_URL may say besides one server: Sentinels that name the primary, and the nodes of a cluster. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { redisAddress, redisKind, redisLogin, redisOptions } from "../../worker/servers/redis.ts";
import { checkServerVariables, ServerVariables } from "../../worker/servers/variables.ts";

const problems = (variables: Readonly<Record<string, string>>): string[] =>
  ServerVariables.superRefine(checkServerVariables)
    .safeParse(variables)
    .error?.issues.map(({ message }) => message) ?? [];

test("Sentinels: a list of hosts, the name of the primary, and a password of their own", () => {
  const variables = { REDIS_URL: "redis+sentinel://u:p%2C@a,[fd00::1]:26380/main", REDIS_SENTINEL_PASSWORD: "other" };
  assert.equal(redisKind(variables), "sentinel");
  const { sentinelRetryStrategy, ...options } = redisOptions(variables);
  assert.equal(sentinelRetryStrategy?.(31), null);
  assert.deepEqual(options, {
    sentinels: [
      { host: "a", port: 26379 },
      { host: "fd00::1", port: 26380 },
    ],
    name: "main",
    enableTLSForSentinelMode: false,
    sentinelPassword: "other",
  });
  assert.deepEqual(redisLogin(variables, "lock"), { user: "u", password: "p," });
  assert.equal(redisAddress(variables), "a:26379");
  const { tls, sentinelTLS, enableTLSForSentinelMode } = redisOptions({ REDIS_URL: "rediss+sentinel://a/main" });
  assert.deepEqual([tls, sentinelTLS, enableTLSForSentinelMode], [{}, {}, true]);
});

test("a cluster: a list of hosts", () => {
  const variables = { REDIS_URL: "redis+cluster://a,b:7000", REDIS_PASSWORD: "p" };
  assert.equal(redisKind(variables), "cluster");
  assert.deepEqual(redisLogin(variables, "lock"), { user: undefined, password: "p" });
  assert.equal(redisAddress(variables), "a:6379");
  assert.equal(redisKind({ REDIS_URL: "redis://a" }), "server");
});

for (const [url, reason] of [
  ["redis://a,b", /redis:\/\/ takes one server/],
  ["redis+sentinel://a:26379", /names no primary; write redis\+sentinel:\/\//],
  ["redis+sentinel://a,/main", /not a valid URL/],
  ["redis+cluster://a,b/1", /has no databases/],
  ["redis+cluster://u:x,y@a:70000", /not a valid URL/],
  ["redis+cluster://u:sec/ret@a,b", /%2F/],
  ["redis+other://a", /not a valid URL/],
] as const)
  test(`${url} is refused`, () => {
    const [message, ...others] = problems({ REDIS_URL: url });
    assert.deepEqual(others, []);
    assert.match(message!, /^REDIS_URL: /);
    assert.match(message!, reason);
    assert.doesNotMatch(message!, /sec|x,y/);
  });

test("REDIS_URLS names single servers", () => {
  assert.match(
    problems({ REDIS_URL: "redis://a", REDIS_URLS: "redis+cluster://a" })[0]!,
    /^REDIS_URLS: name single servers/,
  );
});
