/** A real Prometheus with TLS, a login and a path of its own; and answers of what else may be found at its address. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createPrometheus } from "../../coordinator/clients/prometheus.ts";
import { ServerError } from "../../coordinator/errors.ts";
import { type PrometheusVariables, prometheusAccess } from "../../worker/servers/prometheus.ts";
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import { PROMETHEUS_LOGIN, startSecuredPrometheus } from "../support/prometheus.ts";

const { user, password } = PROMETHEUS_LOGIN;

let certificates: Certificates;
let server: Awaited<ReturnType<typeof startSecuredPrometheus>>;
let full: PrometheusVariables;
before(async () => {
  certificates = await makeCertificates();
  const { ca, clientCert, clientKey } = certificates;
  server = await startSecuredPrometheus({ certificates, clientCertificate: true, path: "/prom" });
  full = {
    PROMETHEUS_URL: server.url,
    PROMETHEUS_USERNAME: user,
    PROMETHEUS_PASSWORD: password,
    PROMETHEUS_TLS_CA: ca,
    PROMETHEUS_TLS_CERT: clientCert,
    PROMETHEUS_TLS_KEY: clientKey,
  };
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
  await certificates?.[Symbol.asyncDispose]();
});

const check = (variables: PrometheusVariables) => createPrometheus(variables).check();

async function assertFails(variables: PrometheusVariables, message: RegExp, final = true) {
  await assert.rejects(check(variables), (error) => {
    assert.ok(error instanceof ServerError, String(error));
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /secret|mistaken|\n/);
    assert.equal(error.final, final, error.message);
    return true;
  });
}

test("a login, a private CA, a client certificate and a path: the version is found, so all requests work", async () => {
  assert.match(await check(full), /^\d+\.\d+/);
  assert.match(await check({ ...full, PROMETHEUS_URL: `${server.url.replace("127.0.0.1", "localhost")}/` }), /^\d/);
});

test("the login may be in the URL, in a file, or printed by a command", async () => {
  const { PROMETHEUS_USERNAME: _, PROMETHEUS_PASSWORD: __, ...rest } = full;
  assert.match(await check({ ...rest, PROMETHEUS_URL: server.url.replace("://", `://${user}:${password}@`) }), /^\d/);
  const file = join(certificates.folder, "prometheus-password");
  await writeFile(file, `${password}\n`);
  assert.match(await check({ ...rest, PROMETHEUS_USERNAME: user, PROMETHEUS_PASSWORD_FILE: file }), /^\d/);
  assert.match(await check({ ...rest, PROMETHEUS_USERNAME: user, PROMETHEUS_PASSWORD_COMMAND: `cat ${file}` }), /^\d/);
});

describe("a login or a certificate that does not suit is final, and the error says what to do", () => {
  const LOGIN =
    /HTTP status 401 Unauthorized; give a login that may query: PROMETHEUS_USERNAME and PROMETHEUS_PASSWORD/;
  const WHERE = /^Prometheus at https:\/\/127\.0\.0\.1:\d+\/prom\/: /;
  test("no login and a wrong one", async () => {
    const { PROMETHEUS_USERNAME: _, PROMETHEUS_PASSWORD: __, ...rest } = full;
    await assertFails(rest, LOGIN);
    await assertFails({ ...full, PROMETHEUS_PASSWORD: "mistaken" }, LOGIN);
    await assertFails({ ...rest, PROMETHEUS_URL: server.url.replace("://", "://reader:mistaken@") }, WHERE);
  });
  test("a wrong path", async () => {
    const at = (path: string) => ({ ...full, PROMETHEUS_URL: `https://127.0.0.1:${server.port}${path}` });
    await assertFails(at("/graph"), /HTTP status 404 Not Found; correct the path in PROMETHEUS_URL/);
  });
  test("certificates", async () => {
    await assertFails(
      { ...full, PROMETHEUS_TLS_CA: undefined },
      /certificate.*name the certificate of its CA in PROMETHEUS_TLS_CA/,
    );
    await assertFails({ ...full, PROMETHEUS_TLS_CA: certificates.otherCa }, /certificate.*CA in PROMETHEUS_TLS_CA/);
    await assertFails({ ...full, PROMETHEUS_TLS_SERVER_NAME: "other.test" }, /does not match/);
    await assertFails(
      { ...full, PROMETHEUS_TLS_CERT: undefined, PROMETHEUS_TLS_KEY: undefined },
      /client certificate that the server accepts in PROMETHEUS_TLS_CERT/,
    );
  });
  test("http:// to a port with TLS", async () => {
    const url = server.url.replace("https", "http");
    await assertFails({ PROMETHEUS_URL: url }, /it speaks TLS on this port; write https:\/\//);
  });
});

describe("a proxy in front of Prometheus", () => {
  /** Serves these answers, and calls `body` with the port. */
  async function withProxy(answer: RequestListener, body: (url: string) => Promise<void>) {
    const proxy = createServer(answer).listen(0, "127.0.0.1");
    await once(proxy, "listening");
    try {
      await body(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
    } finally {
      proxy.closeAllConnections();
      proxy.close();
    }
  }
  const VECTOR = JSON.stringify({ status: "success", data: { resultType: "vector", result: [] } });

  test("gets the bearer token and the further headers", async () => {
    const seen: unknown[] = [];
    const answer: RequestListener = ({ headers }, response) => {
      seen.push([headers.authorization, headers["x-scope-orgid"], headers["x-more"]]);
      response.end(VECTOR);
    };
    await withProxy(answer, async (url) => {
      await check({
        PROMETHEUS_URL: url,
        PROMETHEUS_BEARER_TOKEN_COMMAND: "printf t0ken",
        PROMETHEUS_HEADERS: "X-Scope-OrgID: team-a\nX-More: a: b",
      });
    });
    assert.deepEqual(seen[0], ["Bearer t0ken", "team-a", "a: b"]);
    assert.equal(seen.length, 2);
  });

  test("that refuses a token gets the next one", async () => {
    const file = join(certificates.folder, "token");
    await writeFile(file, "old");
    const answer: RequestListener = ({ headers }, response) => {
      response.statusCode = headers.authorization === "Bearer new" ? 200 : 401;
      response.end(VECTOR);
    };
    await withProxy(answer, async (url) => {
      const prometheus = createPrometheus({ PROMETHEUS_URL: url, PROMETHEUS_BEARER_TOKEN_FILE: file });
      await assert.rejects(prometheus.query("vector(1)"), /401/);
      await writeFile(file, "new");
      assert.deepEqual(await prometheus.query("vector(1)"), []);
    });
  });

  for (const [what, status, headers, text, message, final] of [
    [
      "a login page",
      302,
      { location: "https://sso.test/login?token=secret" },
      "",
      /302 Found, to https:\/\/sso\.test\/login; write/,
      true,
    ],
    ["a page in place of JSON", 200, {}, "<html>secret</html>", /the answer is not JSON; correct the path/, true],
    ["forbidden", 403, {}, "secret", /403 Forbidden; give a login/, true],
    ["not ready", 503, {}, "secret", /503 Service Unavailable; start it or correct PROMETHEUS_URL/, false],
    [
      "a query that it refuses",
      422,
      {},
      '{"status":"error","error":"no such function"}',
      /422 .*: no such function; check that/,
      false,
    ],
  ] as const)
    test(`answers with ${what}`, () =>
      withProxy(
        (_, response) => void response.writeHead(status, headers).end(text),
        (url) => assertFails({ PROMETHEUS_URL: url }, message, final),
      ));

  test("closes an idle connection just when it is used again", async () => {
    let answered = 0;
    const answer: RequestListener = (request, response) => {
      answered += 1;
      if (answered === 2) return void request.socket.destroy();
      response.end(VECTOR);
    };
    await withProxy(answer, async (url) => {
      const prometheus = createPrometheus({ PROMETHEUS_URL: url });
      await prometheus.query("vector(1)");
      assert.deepEqual(await prometheus.query("vector(1)"), []);
    });
    assert.equal(answered, 3);
  });
});

test("numbers are read at a time of the server's own clock", async () => {
  const result = [{ metric: {}, value: [1_700_000_000.25, "1700000000.25"] }];
  const times: (string | null)[] = [];
  const clock = createServer(async (request, response) => {
    let form = "";
    for await (const chunk of request) form += chunk;
    times.push(new URLSearchParams(form).get("time"));
    response.end(JSON.stringify({ status: "success", data: { resultType: "vector", result } }));
  });
  await once(clock.listen(0, "127.0.0.1"), "listening");
  const prometheus = createPrometheus({ PROMETHEUS_URL: `http://127.0.0.1:${(clock.address() as AddressInfo).port}` });
  const nowMs = await prometheus.nowMs();
  await prometheus.query("up", nowMs);
  clock.closeAllConnections();
  clock.close();
  assert.equal(nowMs, 1_700_000_000_250);
  assert.deepEqual(times, [null, "1700000000.250"]);
});

test("contradictions are refused", () => {
  const url = { PROMETHEUS_URL: "https://h" };
  for (const [variables, message] of [
    [{ ...url, PROMETHEUS_PASSWORD: "x" }, /^PROMETHEUS_PASSWORD: it needs a user/],
    [
      { PROMETHEUS_URL: "https://u:p@h", PROMETHEUS_BEARER_TOKEN: "x" },
      /^PROMETHEUS_BEARER_TOKEN: there is also a user/,
    ],
    [{ ...url, PROMETHEUS_HEADERS: "hidden" }, /^PROMETHEUS_HEADERS: write one header on each line/],
    [
      { PROMETHEUS_URL: "http://h", PROMETHEUS_TLS: "required" },
      /^PROMETHEUS_URL: the PROMETHEUS_TLS variables need https/,
    ],
    [{ ...url, PROMETHEUS_TLS: "off" }, /^PROMETHEUS_TLS: it is off, but PROMETHEUS_URL asks/],
  ] as const)
    assert.throws(() => prometheusAccess(variables), { message });
});
