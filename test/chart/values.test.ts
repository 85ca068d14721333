import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { parse } from "yaml";
import { RunOptions } from "../../coordinator/plan/settings.ts";
import { valueDocs, withTable } from "../../helm/tools/readme.ts";
import { valuesSchema } from "../../helm/tools/schema.ts";
import { bothHelms } from "./helm.ts";
import { type Any, ROOT, template } from "./objects.ts";

const read = (name: string) => readFileSync(new URL(name, ROOT), "utf8");
const values = parse(read("helm/values.yaml"));

test("values.schema.json is what `make chart` writes", () => {
  assert.ok(read("helm/values.schema.json") === valuesSchema(), "run `make chart`");
});

test("the README's table is what `make chart` writes", () => {
  const readme = read("helm/README.md");
  assert.ok(readme === withTable(readme, valueDocs(read("helm/values.yaml"))), "run `make chart`");
});

test("the schema knows every value, values.yaml has every value of the schema, and no typo passes anywhere", () => {
  assert.deepEqual(
    keysOfSchema(JSON.parse(valuesSchema())).sort(),
    valueDocs(read("helm/values.yaml")).flatMap(pathsUpTo).sort(),
  );
});

test("the run's values default to what the coordinator takes by itself", () => {
  // The chart has `locks` in its place.
  const { lock: _, faults, ...options } = RunOptions.parse({});
  assert.deepEqual(Object.fromEntries(Object.keys(options).map((key) => [key, values[key]])), options);
  assert.deepEqual(values.faults.names, faults);
});

const REFUSED: [set: string, message: RegExp][] = [
  ["wrokers=3", /wrokers/],
  ["workers=0", /workers.*(got 0, want 1|greater than or equal to 1)/],
  ["workers=two", /workers.*(want integer|Expected: integer)/],
  ["strategies={nope}", /strategies.*row-lock/],
  ["scenario=nope", /scenario.*compare/],
  ["faults={stall}", /faults.*(got array, want object|Expected: object)/],
  ["faults.name={stall}", /faults.*name/],
  ["faults.names={nope}", /faults[./]names[./]0.*redis-data-loss/],
  ["duration=5", /duration.*(want string|Expected: string)/],
  ["duration=5 seconds", /duration/],
  ["coordinator.name=Not_A_Name", /coordinator[./]name/],
  ["mysql.auth.pasword=x", /pasword/],
  ["redis.image.tga=8", /tga/],
  ["worker.resources.limit.memory=1Gi", /limit/],
  ["networkPolicy.allowFrom.mysq=x", /mysq/],
  ["locks.Mine.command={x}", /locks|Mine/],
  ["locks.mine.command={}", /locks[./]mine[./]command/],
  ["locks.mine.image.tag=1", /repository/],
  ["locks.mine.comand={x}", /comand|command/],
  ["locks.mine.command={x},locks.mine.redisUser=monitor", /locks[./]mine[./]redisUser/],
  ["locks.mine.command={x},locks.mine.env[0].name=not-a-name", /locks[./]mine[./]env[./]0[./]name/],
  ["locks.mine.command={x},locks.mine.egress[0].port=8500", /locks[./]mine[./]egress[./]0.*port/],
  ["zookeeper.replicas=2", /zookeeper[./]replicas/],
  ["consul.replicas=3", /replicas/],
  ["etcd.auth.token=x", /token/],
  ["global.imageRegistry=registry.example/", /imageRegistry/],
  ["global.imageRegistry=https://registry.example", /imageRegistry/],
  ["mysql.image.registry=registry.example/mirror/", /mysql[./]image[./]registry/],
  ["image.repository=/holdfast", /image[./]repository/],
  ["image.repository=holdfast:1.2", /image[./]repository/],
  ["historyLimit=0", /historyLimit.*(got 0, want 1|greater than or equal to 1)/],
  ["schedule=@daily,timeZone=Europe/", /timeZone/],
  ["worker.extraVolumes[0].name=v,worker.extraVolumes[0].hostPath.path=/", /hostPath/],
  ["history.volume=My_Claim", /history[./]volume/],
  ["history.volume.hostPath.path=/", /hostPath/],
  ["worker.extraVolumeMounts[0].name=v,worker.extraVolumeMounts[0].mountPath=etc", /mountPath/],
];

const MYSQL = "mysql.enabled=false,mysql.external.host=db,mysql.auth.password=p";
const REDIS = "redis.enabled=false,redis.external.nodes={r:6379},redis.auth.passwords.default=p";

const IMPOSSIBLE: [sets: string, message: RegExp][] = [
  ["redis.external.nodes={redis://host:6379}", /redis\.external\.nodes: write host:port/],
  ["redis.external.nodes={fd00::1:6379}", /redis\.external\.nodes: .*in brackets/],
  ["mysql.external.nodes={user:s3cret@host:3306}", /mysql\.external\.nodes: write host:port/],
  ["redis.external.url=redis://user:s3cret@host", /redis\.external\.url: .* the password belongs in redis\.auth/],
  ["prometheus.external.url=http://user:s3cret@host", /prometheus\.external\.url: .* in prometheus\.external\.auth/],
  ["mysql.external.host=mysql://user:s3cret@db", /mysql\.external\.host: write only a name/],
  ["mysql.enabled=false", /set mysql\.external\.host/],
  ["mysql.external.host=db", /mysql\.external has no effect .*: set mysql\.enabled=false/],
  ["mysql.enabled=false,mysql.external.host=db:3307", /set mysql\.external\.host=db and mysql\.external\.port=3307/],
  ["mysql.enabled=false,mysql.external.host=[fd00::1]:3307", /host=\[fd00::1\] and mysql\.external\.port=3307/],
  [`${MYSQL},mysql.external.nodes={a:3306}`, /host and mysql\.external\.nodes are both set/],
  ["mysql.auth.username=svc-holdfast", /mysql\.auth\.username=svc-holdfast: .* need your own server/],
  ["mysql.external.tls.enabled=true", /the bundled server has no TLS: set mysql\.enabled=false/],
  [`${MYSQL},mysql.external.tls.existingSecret=s`, /set mysql\.external\.tls\.enabled=true/],
  [`${MYSQL},mysql.external.tls.enabled=true,mysql.external.tls.certKey=c`, /needs both certKey and keyKey/],
  [`${MYSQL},mysql.auth.passwordFile=/f`, /passwordFile is for your own server, without/],
  ["mysql.auth.passwordFile=/f", /or set mysql\.enabled=false/],
  ["redis.auth.passwords.faults=p", /set faults\.enabled=true/],
  ["mysql.auth.faultsPassword=p", /set faults\.enabled=true/],
  ["faults.enabled=true,mysql.auth.username=faults", /mysql\.auth\.username=faults: .* choose another name/],
  [`faults.enabled=true,${MYSQL},${REDIS}`, /faults\.enabled=true has no effect: .* or faults\.enabled=false/],
  ["redis.replica.enabled=true", /redis\.replica\.enabled=true has no effect: .*set faults\.enabled=true/],
  [`redis.replica.enabled=true,faults.enabled=true,${REDIS}`, /redis\.replica\.enabled=true has no effect/],
  ["redis.auth.passwords.default=p", /no such user in files\/users\.acl, only lock/],
  [`${REDIS},redis.auth.passwords.lock=q`, /default, which is then used for everything, and lock/],
  [`${REDIS},redis.external.url=redis://r`, /nodes and redis\.external\.url are both set/],
  ["redis.enabled=false,redis.external.url=redis://r,redis.external.tls.enabled=true", /write rediss:\/\//],
  [`${REDIS},redis.external.tls.existingSecret=s`, /set redis\.external\.tls\.enabled=true/],
  [`${REDIS},redis.auth.sentinelPasswordKey=k`, /for Sentinels in redis\.external\.url: set both/],
  ["redis.auth.passwordFiles.lock=/f", /set redis\.enabled=false/],
  [
    "redis.enabled=false,redis.external.nodes={r:6379},redis.auth.defaultPasswordKey=k",
    /a key of redis\.auth\.existingSecret/,
  ],
  ["mysql.enabled=false,mysql.external.host=db", /no password for holdfast at db:3306: set mysql\.auth\.password/],
  ["mysql.auth.existingSecret=s,mysql.auth.password=p", /remove one/],
  ["mysql.auth.username=root", /choose another name/],
  ["redis.enabled=false", /set redis\.external\.nodes/],
  ["redis.external.nodes={r:6379}", /set redis\.enabled=false/],
  [
    "redis.enabled=false,redis.external.nodes={r:6379}",
    /no password for the Redis user lock at redis:\/\/r:6379: .* redis\.auth\.passwords\.default/,
  ],
  ["redis.auth.existingSecret=s,redis.auth.passwords.lock=p", /remove one/],
  ["redis.auth.passwords.nobody=p", /no such user in files\/users\.acl, only lock/],
  ["redis.instances=2", /use an odd number/],
  ["etcd.external.nodes={https://e:2379}", /etcd\.external\.nodes: write host:port/],
  ["etcd.enabled=true,etcd.external.nodes={e:2379}", /etcd\.external has no effect .*: set etcd\.enabled=false/],
  ["zookeeper.enabled=true,zookeeper.external.tls.enabled=true", /has no TLS: set zookeeper\.enabled=false/],
  ["consul.external.nodes={c:8501},consul.external.tls.existingSecret=s", /set consul\.external\.tls\.enabled=true/],
  [
    "etcd.external.nodes={e:2379},etcd.external.tls.enabled=true,etcd.external.tls.certKey=c",
    /etcd\.external\.tls: .*needs both/,
  ],
  [
    "consul.enabled=true,consul.auth.existingSecret=s,consul.auth.adminToken=t",
    /existingSecret and a token are both set/,
  ],
  ["strategies={none,etcd}", /the strategy "etcd" needs a server, .*: set etcd\.enabled=true, or etcd\.external/],
  ["prometheus.enabled=false", /set prometheus\.external\.url/],
  ["prometheus.external.url=http://p:9090", /set prometheus\.enabled=false/],
  ["prometheus.enabled=false,prometheus.external.url=http://p:9090", /set networkPolicy\.allowFrom\.metrics/],
  ["metrics.podMonitor.enabled=true", /set networkPolicy\.allowFrom\.metrics/],
  ["grafana.existingSecret=s,grafana.adminPassword=p", /remove one/],
  [
    "metrics.annotations.enabled=true,metrics.podMonitor.enabled=true,networkPolicy.enabled=false",
    /set one of them to/,
  ],
  ["token=t,tokenExistingSecret=s", /remove one/],
  ["schedule=weekly", /schedule="weekly": write the five fields minute, .* such as "0 3 \* \* 1"/],
  ["schedule=TZ=UTC 0 3 * * 1", /a time zone belongs in timeZone/],
  ["schedule=60 3 * * 1", /schedule="60 3 \* \* 1": the minute is "60"; write a number/],
  ["schedule=0 24 * * 1", /the hour is "24"/],
  ["schedule=0 3 0 * *", /the day of the month is "0"/],
  ["schedule=0 3 * JANUARY *", /the month is "JANUARY"/],
  ["schedule=0 3 * * 7", /the day of the week is "7"; .*Sunday is 0 or SUN/],
  ["schedule=*/0 3 * * *", /the minute is "\*\/0"/],
  ["timeZone=Europe/Berlin", /timeZone=Europe\/Berlin has no effect without a schedule: set schedule/],
  ["metrics.prometheusRule.enabled=true", /set metrics\.podMonitor\.enabled=true/],
  ["locks.mine.egress[0].ports[0].port=1", /locks\.mine needs either a command, .*, or an image of its own/],
  ["locks.mine.image.repository=r", /locks\.mine\.image needs a tag or a digest/],
  ["locks.mine.command={x},locks.mine.resources.requests.cpu=1", /locks\.mine\.resources is for .* worker\.resources/],
  [
    "locks.mine.image.repository=r,locks.mine.image.tag=t,redis.auth.passwords.guest=a/b",
    /redis\.auth\.passwords\.guest stands in the URL of locks\.mine: use only letters/,
  ],
  ["locks.mine.command={x},locks.mine.env[0].name=A", /locks\.mine\.env: A needs either value or valueFrom/],
  [
    "locks.mine.command={x},locks.mine.env[0].name=A,locks.mine.env[0].value=,locks.mine.env[1].name=A,locks.mine.env[1].value=",
    /locks\.mine\.env names A twice/,
  ],
  [
    "locks.mine.command={x},locks.mine.redisUser=,locks.mine.env[0].name=HOLDFAST_LOCK_REDIS_URL,locks.mine.env[0].value=u",
    /locks\.mine\.redisUser and HOLDFAST_LOCK_REDIS_URL .* both set/,
  ],
  [`${REDIS},locks.mine.command={x},locks.mine.redisUser=guest`, /set redis\.auth\.passwords\.guest, or remove/],
  [
    "redis.enabled=false,redis.external.url=redis+cluster://r,redis.auth.passwords.guest=p,redis.auth.passwords.lock=p,redis.auth.passwords.seed=p,redis.auth.passwords.peer=p,redis.auth.passwords.monitor=p,locks.mine.command={x},locks.mine.redisUser=guest",
    /locks\.mine\.redisUser=guest: Sentinels and clusters have no URL/,
  ],
  ["coordinator.extraVolumes[0].name=tmp", /coordinator\.extraVolumes: .* named tmp: choose another name/],
  ["worker.extraEnv[0].name=A,worker.extraEnv[1].name=A", /worker\.extraEnv names A twice/],
];

for (const helm of bothHelms()) {
  for (const [sets, message] of [...REFUSED, ...IMPOSSIBLE]) {
    test(`Helm ${helm.major} refuses ${sets}`, () => {
      assert.throws(
        () => template(helm, "--set", sets),
        (error: Error) => message.test(error.message) && !error.message.includes("s3cret"),
      );
    });
  }

  for (const registry of ["registry.example", "registry.example:5000", "1.dkr.example/mirror/b"])
    test(`Helm ${helm.major} accepts the registry ${registry}`, () => {
      assert.ok(template(helm, "--set", `global.imageRegistry=${registry}`).includes(`image: ${registry}/mysql:`));
    });

  test(`Helm ${helm.major} accepts every form of a schedule that the API server accepts`, () => {
    for (const schedule of ["0 3 * * 1", "*/15 0-6\\,22 1-31/2 jan,DEC ?", "5/10  23 * * MON-fri", "@hourly"])
      assert.ok(template(helm, "--set", `schedule=${schedule.replace(/(?<!\\),/g, "\\,")}`).includes("kind: CronJob"));
  });

  test(`Helm ${helm.major} accepts values for subcharts and parents under global`, () => {
    template(helm, "--set", "global.somebodyElse.setting=1");
  });
}

/** Returns the paths of all objects and leaves of the schema. Throws if an object allows unknown keys. */
function keysOfSchema(schema: Any, prefix = ""): string[] {
  return Object.entries<Any>(schema.properties).flatMap(([key, property]) => {
    const path = `${prefix}${key}`;
    if (Object.keys(property.properties ?? {}).length === 0) return [path];
    if (path !== "global") assert.equal(property.additionalProperties, false, `${path} allows unknown keys`);
    // values.yaml documents the requests and limits of Kubernetes as a whole, not one by one.
    return path.endsWith(".resources") ? [path] : [path, ...keysOfSchema(property, `${path}.`)];
  });
}

const pathsUpTo = ({ path }: { path: string }, place: number, all: readonly { path: string }[]): string[] => {
  const known = new Set(all.slice(0, place).flatMap((doc) => prefixes(doc.path)));
  return prefixes(path).filter((prefix) => !known.has(prefix));
};

const prefixes = (path: string) => path.split(".").map((_, depth, parts) => parts.slice(0, depth + 1).join("."));
