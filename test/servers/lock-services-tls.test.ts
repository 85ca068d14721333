/** Real etcd and Consul over TLS with a private CA and client certificates: a lock, the account, and what is refused. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createConsulClient } from "../../coordinator/clients/consul.ts";
import { createEtcdClient } from "../../coordinator/clients/etcd.ts";
import type { LockServiceClient } from "../../coordinator/clients/lock-service-client.ts";
import { ServerError } from "../../coordinator/errors.ts";
import { freePort } from "../../coordinator/platform/local/servers/ports.ts";
import { consulApi } from "../../worker/locks/consul-api.ts";
import { createConsulLock } from "../../worker/locks/consul-lock.ts";
import { etcdApi } from "../../worker/locks/etcd-api.ts";
import { createEtcdLock } from "../../worker/locks/etcd-lock.ts";
import type { Lock } from "../../worker/locks/lock.ts";
import { type ConsulVariables, consulAccess, openConsul } from "../../worker/servers/consul.ts";
import { type EtcdVariables, etcdAccess, openEtcd } from "../../worker/servers/etcd.ts";
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import { consulIsMissing, startTestConsul } from "../support/consul.ts";
import { etcdMissing, startEtcd } from "../support/etcd.ts";

interface Secured {
  /** Those of the plain port, with the URL of the port for TLS. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  stop(): Promise<void>;
}

interface Service {
  readonly prefix: "ETCD" | "CONSUL";
  readonly missing: string | false;
  start(certificates: Certificates, port: number): Promise<Secured>;
  client(variables: Secured["variables"]): LockServiceClient;
  /** A lock, and what closes its connections. */
  lock(variables: Secured["variables"]): Promise<{ readonly lock: Lock; close(): void }>;
}

const SERVICES: readonly Service[] = [
  {
    prefix: "ETCD",
    missing: await etcdMissing(),
    async start({ ca, cert, key }, port) {
      const etcd = await startEtcd((clientPort) => [
        `--listen-client-urls=http://127.0.0.1:${clientPort},https://127.0.0.1:${port}`,
        `--cert-file=${cert}`,
        `--key-file=${key}`,
        `--trusted-ca-file=${ca}`,
        "--client-cert-auth",
      ]);
      const variables = { ...etcd.variables, ETCD_URL: `https://holdfast@127.0.0.1:${port}` };
      return { variables, stop: () => etcd.stop() };
    },
    client: (variables) => createEtcdClient(variables as EtcdVariables),
    async lock(variables) {
      const access = etcdAccess(variables as EtcdVariables);
      const connection = openEtcd(access, access.login);
      return {
        lock: await createEtcdLock(etcdApi(connection), { ttlMs: 2_000 }),
        close: () => connection.close(),
      };
    },
  },
  {
    prefix: "CONSUL",
    missing: consulIsMissing,
    async start({ ca, cert, key }, port) {
      const consul = await startTestConsul({
        ports: { https: port },
        tls: { defaults: { ca_file: ca, cert_file: cert, key_file: key }, https: { verify_incoming: true } },
      });
      const variables = { ...consul.variables, CONSUL_URL: `https://127.0.0.1:${port}` };
      return { variables, stop: () => consul.stop() };
    },
    client: (variables) => createConsulClient(variables as ConsulVariables),
    async lock(variables) {
      const access = consulAccess(variables as ConsulVariables);
      const connection = openConsul(access, access.token);
      return {
        lock: await createConsulLock(consulApi(connection), { ttlMs: 2_000 }),
        close: () => connection.close(),
      };
    },
  },
];

for (const { prefix, missing, start, client, lock: open } of SERVICES)
  describe(`${prefix} with TLS`, { skip: missing }, () => {
    let certificates: Certificates;
    let secured: Secured;
    let full: Secured["variables"];

    before(async () => {
      certificates = await makeCertificates();
      secured = await start(certificates, await freePort());
      const { ca, namelessCert, namelessKey } = certificates;
      full = {
        ...secured.variables,
        [`${prefix}_TLS_CA`]: ca,
        [`${prefix}_TLS_CERT`]: namelessCert,
        [`${prefix}_TLS_KEY`]: namelessKey,
      };
    });
    after(async () => {
      await secured?.stop();
      await certificates?.[Symbol.asyncDispose]();
    });

    test("the coordinator checks it and prepares the account, and a lock is handed over", async () => {
      const service = client(full);
      try {
        await service.check();
        await service.prepare();
      } finally {
        service.close();
      }
      const { lock, close } = await open(full);
      try {
        const first = await lock.acquire("tls");
        const waiting = lock.acquire("tls", { timeoutMs: 10_000 });
        await first.release();
        const second = await waiting;
        assert.ok(second.fence > first.fence);
        await second.release();
      } finally {
        await lock.close();
        close();
      }
    });

    async function refusal(variables: Secured["variables"]): Promise<ServerError> {
      const service = client(variables);
      try {
        const error = await service.check().then(
          () => assert.fail("it was accepted"),
          (reason: unknown) => reason,
        );
        assert.ok(error instanceof ServerError, String(error));
        assert.doesNotMatch(error.message, /\n/);
        return error;
      } finally {
        service.close();
      }
    }

    if (prefix === "ETCD")
      test("a client certificate with a Common Name is refused with the fix", async () => {
        const { clientCert, clientKey } = certificates;
        const error = await refusal({ ...full, ETCD_TLS_CERT: clientCert, ETCD_TLS_KEY: clientKey });
        assert.match(error.message, /without a Common Name/);
        assert.equal(error.final, true);
      });

    test("a CA that has not signed the certificate is final, and names the variable", async () => {
      const error = await refusal({ ...full, [`${prefix}_TLS_CA`]: certificates.otherCa });
      assert.match(error.message, new RegExp(`${prefix}_TLS_CA`));
      assert.equal(error.final, true, error.message);
    });

    test("a missing client certificate is final, and names the variable", async () => {
      const { [`${prefix}_TLS_CERT`]: _cert, [`${prefix}_TLS_KEY`]: _key, ...without } = full;
      const error = await refusal(without);
      assert.match(error.message, new RegExp(`${prefix}_TLS_CERT`));
      assert.equal(error.final, true, error.message);
    });
  });
