/** Servers of the user's own: what coordinator and workers get to reach them. */
import assert from "node:assert/strict";
import test from "node:test";
import { readInvocation } from "../../coordinator/config.ts";
import { parseWorkerTemplate } from "../../coordinator/platform/kubernetes/worker-job.ts";
import { readEnvironment } from "../../worker/environment.ts";
import { VARIABLE_NAMES } from "../../worker/servers/variables.ts";
import { SPEC } from "../platform/kubernetes/spec.ts";
import { bothHelms, type Helm } from "./helm.ts";
import { type Any, objectsOf, template, workerTemplate } from "./objects.ts";

const MYSQL = "mysql.enabled=false,mysql.external.host=db,mysql.auth.password=p";
const REDIS = "redis.enabled=false";

for (const helm of bothHelms()) {
  test(`Helm ${helm.major}: all certificates and logins of ci/external-values.yaml arrive, each where it is needed`, () => {
    const { coordinator, worker } = pods(helm, "--values", "helm/ci/external-values.yaml");
    const shared = {
      MYSQL_URL: "mysql://svc-holdfast%40server@[fd00:10::5]:3307/hold-fast",
      MYSQL_PASSWORD: "my-mysql password",
      MYSQL_TLS: "required",
      MYSQL_TLS_CA: "/etc/tls/mysql/ca.crt",
      MYSQL_TLS_CERT: "/etc/tls/mysql/tls.crt",
      MYSQL_TLS_KEY: "/etc/tls/mysql/tls.key",
      REDIS_URL: "rediss://redis-0.cache:6379",
      REDIS_URLS: "rediss://redis-0.cache:6379,rediss://redis-1.cache:6379,rediss://[fd00:10::7]:6380",
      REDIS_TLS_CA: "/etc/tls/redis/ca.crt",
      REDIS_TLS_SERVER_NAME: "redis.cache",
      REDIS_PASSWORD_LOCK: "my-redis redis-lock-password",
      REDIS_PASSWORD_SEED: "my-redis redis-seed-password",
      REDIS_PASSWORD_PEER: "my-redis redis-peer-password",
      REDIS_PASSWORD_GUEST: "my-redis redis-guest-password",
      ZOOKEEPER_URL: "zookeeper://holdfast@zk-0.locks:2281,zk-1.locks:2281,zk-2.locks:2281",
      ZOOKEEPER_PASSWORD: "my-zookeeper zookeeper-password",
      ZOOKEEPER_TLS: "required",
      ZOOKEEPER_TLS_CA: "/etc/tls/zookeeper/ca.crt",
      ETCD_URL: "https://svc-holdfast@etcd-0.locks:2379,[fd00:10::9]:2379",
      ETCD_PASSWORD: "my-etcd password",
      ETCD_TLS: "required",
      ETCD_TLS_CA: "/etc/tls/etcd/ca.crt",
      ETCD_TLS_CERT: "/etc/tls/etcd/tls.crt",
      ETCD_TLS_KEY: "/etc/tls/etcd/tls.key",
      CONSUL_URL: "http://consul.locks:8500",
      CONSUL_TOKEN: "my-consul consul-token",
    };
    assert.deepEqual(serverVariables(worker), shared);
    assert.deepEqual(serverVariables(coordinator), {
      ...shared,
      REDIS_PASSWORD_MONITOR: "my-redis redis-monitor-password",
      ZOOKEEPER_ADMIN_PASSWORD: "my-zookeeper zookeeper-admin-password",
      ETCD_ADMIN_PASSWORD: "my-etcd root",
      CONSUL_ADMIN_TOKEN: "my-consul consul-admin-token",
      PROMETHEUS_URL: "https://prometheus.monitoring",
      PROMETHEUS_TLS_CA: "/etc/tls/prometheus/ca.crt",
      PROMETHEUS_USERNAME: "reader",
      PROMETHEUS_PASSWORD: "my-prometheus password",
    });
    for (const spec of [coordinator, worker])
      for (const [name, path] of Object.entries(serverVariables(spec)))
        if (/_TLS_(CA|CERT|KEY)$/.test(name)) assert.ok(isMounted(spec, path), `${path} is not there`);
    assert.equal(isMounted(worker, "/etc/tls/prometheus/ca.crt"), false);
    const secret = coordinator.volumes.find(({ name }: Any) => name === "prometheus-tls").secret;
    assert.deepEqual(secret.items, [{ key: "service-ca.crt", path: "ca.crt" }]);
  });

  test(`Helm ${helm.major}: the user guest may be missing at a server of the user's own, and in an existing Secret`, () => {
    const passwords = ["lock", "seed", "peer", "monitor"].map((user) => `redis.auth.passwords.${user}=p`).join(",");
    const servers = `${MYSQL},${REDIS},redis.external.nodes={r:6379}`;
    const guestOf = ({ containers }: Any) => {
      const given = containers[0].env.find(({ name }: Any) => name === "REDIS_PASSWORD_GUEST");
      return given && { ...given.valueFrom.secretKeyRef };
    };
    const key = "redis-guest-password";
    for (const [sets, expected] of [
      [`${servers},${passwords}`, undefined],
      [`${servers},${passwords},redis.auth.passwords.guest=p`, { name: "demo-holdfast", key }],
      [`${servers},redis.auth.existingSecret=s`, { name: "s", key, optional: true }],
      ["redis.auth.existingSecret=s", { name: "s", key, optional: true }],
      ["redis.instances=1", { name: "demo-holdfast", key }],
    ] as const)
      for (const spec of Object.values(pods(helm, "--set", sets))) assert.deepEqual(guestOf(spec), expected);
  });

  test(`Helm ${helm.major}: one login for everything, as managed Redis servers have it`, () => {
    for (const [sets, password] of [
      ["redis.external.nodes={r:6379},redis.auth.passwords.default=p", "demo-holdfast redis-default-password"],
      ["redis.external.nodes={r:6379},redis.auth.existingSecret=s,redis.auth.defaultPasswordKey=auth", "s auth"],
    ] as const)
      for (const spec of Object.values(pods(helm, "--set", `${MYSQL},${REDIS},${sets}`))) {
        const { REDIS_PASSWORD, ...others } = serverVariables(spec);
        assert.equal(REDIS_PASSWORD, password);
        assert.deepEqual(
          Object.keys(others).filter((name) => name.startsWith("REDIS_PASSWORD")),
          [],
        );
      }
  });

  test(`Helm ${helm.major}: a URL with a user, and passwords in files of another volume`, () => {
    const sets = [
      "mysql.enabled=false,mysql.external.host=db,mysql.auth.passwordFile=/vault/mysql",
      "redis.enabled=false,redis.external.url=rediss://app@cache.example/1,redis.auth.passwordFiles.default=/vault/redis",
    ];
    for (const spec of Object.values(pods(helm, "--set", sets.join(",")))) {
      const { PROMETHEUS_URL: _, ...variables } = serverVariables(spec);
      assert.deepEqual(variables, {
        MYSQL_URL: "mysql://holdfast@db:3306/holdfast",
        MYSQL_PASSWORD_FILE: "/vault/mysql",
        REDIS_URL: "rediss://app@cache.example/1",
        REDIS_PASSWORD_FILE: "/vault/redis",
      });
    }
  });

  test(`Helm ${helm.major}: lock services without a login, and with passwords in files`, () => {
    const nodes = "zookeeper.external.nodes={z:2181},etcd.external.nodes={e:2379},consul.external.nodes={c:8500}";
    const file = ["coordinator", "worker"].map(
      (part) => `${part}.extraEnv[0].name=ETCD_PASSWORD_FILE,${part}.extraEnv[0].value=/vault/etcd`,
    );
    const given = (sets: string) =>
      Object.values(pods(helm, "--set", sets)).map((spec) =>
        Object.fromEntries(Object.entries(serverVariables(spec)).filter(([name]) => /^(ZOO|ETCD|CONSUL)/.test(name))),
      );
    const urls = { ZOOKEEPER_URL: "zookeeper://z:2181", ETCD_URL: "http://e:2379", CONSUL_URL: "http://c:8500" };
    assert.deepEqual(given(nodes), [urls, urls]);
    const withLogin = { ...urls, ETCD_URL: "http://holdfast@e:2379", ETCD_PASSWORD_FILE: "/vault/etcd" };
    assert.deepEqual(given([nodes, ...file].join(",")), [withLogin, withLogin]);
  });

  test(`Helm ${helm.major}: secrets from commands, by extraEnv of both parts, in place of the chart's`, () => {
    const env = ["MYSQL_PASSWORD_COMMAND", "REDIS_PASSWORD_COMMAND"];
    const sets = ["coordinator", "worker"].flatMap((part) =>
      env.map((name, place) => `${part}.extraEnv[${place}].name=${name},${part}.extraEnv[${place}].value=print-it`),
    );
    const servers = `mysql.enabled=false,mysql.external.host=db,${REDIS},redis.external.nodes={r:6379}`;
    for (const spec of Object.values(pods(helm, "--set", [servers, ...sets].join(",")))) {
      const names = Object.keys(serverVariables(spec)).filter((name) => name.includes("PASSWORD"));
      assert.deepEqual(names.sort(), env);
    }
  });

  test(`Helm ${helm.major}: Sentinels with a password of their own`, () => {
    const auth = "existingSecret=s,redis.auth.defaultPasswordKey=auth,redis.auth.sentinelPasswordKey=sentinel";
    const sets = `${MYSQL},${REDIS},redis.external.url=rediss+sentinel://a\\,b/main,redis.auth.${auth}`;
    for (const spec of Object.values(pods(helm, "--set", sets))) {
      const { REDIS_URL, REDIS_PASSWORD, REDIS_SENTINEL_PASSWORD } = serverVariables(spec);
      assert.equal(REDIS_URL, "rediss+sentinel://a,b/main");
      assert.deepEqual([REDIS_PASSWORD, REDIS_SENTINEL_PASSWORD], ["s auth", "s sentinel"]);
    }
  });

  test(`Helm ${helm.major}: several servers of one Galera cluster, and a Prometheus that wants a header`, () => {
    const sets = [
      "mysql.enabled=false,mysql.external.nodes={a:3306,[fd00::2]:3307},mysql.auth.password=p",
      "prometheus.enabled=false,prometheus.external.url=http://p,prometheus.external.headers.X-Scope-OrgID=team-a",
      "networkPolicy.enabled=false",
    ];
    const { coordinator, worker } = pods(helm, "--set", sets.join(","));
    for (const spec of [coordinator, worker]) {
      const { MYSQL_URL, MYSQL_URLS } = serverVariables(spec);
      assert.equal(MYSQL_URL, "mysql://holdfast@a:3306/holdfast");
      assert.equal(MYSQL_URLS, "mysql://holdfast@a:3306/holdfast,mysql://holdfast@[fd00::2]:3307/holdfast");
    }
    assert.equal(serverVariables(coordinator).PROMETHEUS_HEADERS, "X-Scope-OrgID: team-a");
  });

  test(`Helm ${helm.major}: the policies open the ports of external servers, those behind Sentinels included`, () => {
    for (const [sets, ports] of [
      ["redis.external.nodes={a:6380,[fd00::1]:6381,b:6380}", [6380, 6381]],
      ["redis.external.url=rediss://app@cache.example/1", [6379]],
      ["redis.external.url=redis+sentinel://a:26379\\,b:26379/main", [26379, 6379]],
      ["redis.external.url=redis+sentinel://a\\,b:26380/main", [26380, 26379, 6379]],
      ["redis.external.url=redis+cluster://a:7000,redis.external.ports={7001,7002}", [7001, 7002, 7000]],
    ] as const) {
      const options = ["--set", `${REDIS},redis.auth.passwords.default=p,${sets}`];
      pods(helm, ...options);
      const objects = objectsOf(template(helm, ...options));
      const policy = objects.find(
        ({ kind, metadata }) => kind === "NetworkPolicy" && metadata.name === "demo-holdfast-worker",
      );
      const opened = policy.spec.egress.map(({ ports }: Any) => ports.map(({ port }: Any) => port));
      assert.ok(
        opened.some((list: number[]) => list.join() === ports.join()),
        `${sets}: ${JSON.stringify(opened)}`,
      );
    }
  });
}

/** The pods of coordinator and workers, whose environment both of them accept. */
function pods(helm: Helm, ...options: string[]): Record<"coordinator" | "worker", Any> {
  const objects = objectsOf(template(helm, ...options));
  const job = objects.find(({ kind, metadata }) => kind === "Job" && metadata.name === "coordinator");
  const coordinator = job.spec.template.spec;
  const worker = parseWorkerTemplate(workerTemplate(objects), "worker.yaml").spec!;
  for (const spec of [coordinator, worker])
    for (const name of Object.keys(serverVariables(spec)))
      assert.ok(VARIABLE_NAMES.includes(name), `nothing reads ${name}`);
  readInvocation([], withFiles(variables(coordinator)), "0");
  readEnvironment({ ...withFiles(variables(worker)), HOLDFAST_SPEC: JSON.stringify(SPEC) });
  return { coordinator, worker };
}

/** The environment; a value from a Secret becomes `<name of the Secret> <key>`. */
function variables(spec: Any): Record<string, string> {
  return Object.fromEntries(
    spec.containers[0].env.map(({ name, value, valueFrom }: Any) => {
      const ref = valueFrom?.secretKeyRef;
      return [name, value ?? (ref === undefined ? "from the field" : `${ref.name} ${ref.key}`)];
    }),
  );
}

/** Both read the files when they start. A password's file is one that exists here; certificates are left out. */
const withFiles = (variables: Record<string, string>) =>
  Object.fromEntries(
    Object.entries(variables)
      .filter(([name]) => !/_TLS_(CA|CERT|KEY)$/.test(name))
      .map(([name, value]) => [name, name.endsWith("_FILE") ? import.meta.filename : value]),
  );

const serverVariables = (spec: Any) =>
  Object.fromEntries(
    Object.entries(variables(spec)).filter(([name]) => /^(MYSQL|REDIS|ZOOKEEPER|ETCD|CONSUL|PROMETHEUS)_/.test(name)),
  );

/** Whether a file of a Secret is mounted at this path. */
function isMounted({ containers, volumes }: Any, path: string): boolean {
  return containers[0].volumeMounts.some(({ name, mountPath }: Any) =>
    volumes
      .find((volume: Any) => volume.name === name)
      .secret?.items?.some((item: Any) => `${mountPath}/${item.path}` === path),
  );
}
