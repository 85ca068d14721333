/** The schema of the chart's values: the run's options as the coordinator itself checks them, and what surrounds them. */
import * as z from "zod";
import { RunOptions } from "../../coordinator/plan/settings.ts";

/** JSON Schema (draft 7, which both Helm majors read) as text for values.schema.json. */
export function valuesSchema(): string {
  const schema = z.toJSONSchema(ChartValues, { target: "draft-7", io: "input" });
  return `${JSON.stringify({ $comment: "Made by `make chart`.", ...schema }, null, 2)}\n`;
}

const dnsName = z.string().regex(/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/);
const quantity = z.union([z.number(), z.string().regex(/^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$/)]);
const duration = z.string().regex(/^[0-9]+(ms|s|m|h|d|w|y)$/);
const port = z.int().min(1).max(65_535);
const strings = z.record(z.string(), z.string());
/** Passed on to Kubernetes as it is; the API server knows its fields. */
const kubernetes = z.looseObject({});
const peers = z.array(kubernetes);

const image = z.strictObject({
  registry: z.string(),
  repository: z.string().min(1),
  // A tag such as 9.7 must be quoted in YAML, or it arrives as a number and 9.10 as 9.1.
  tag: z.string(),
  digest: z.string().regex(/^(sha256:[0-9a-f]{64})?$/),
  pullPolicy: z.enum(["Always", "IfNotPresent", "Never"]),
});

const amounts = z.partialRecord(z.enum(["cpu", "memory", "ephemeral-storage"]), quantity);

/** What every workload offers. */
const pods = {
  resources: z.strictObject({ requests: amounts, limits: amounts }).partial(),
  extraEnv: z.array(z.looseObject({ name: z.string().min(1) })),
  podAnnotations: strings,
  podLabels: strings,
  nodeSelector: strings,
  tolerations: z.array(kubernetes),
  affinity: kubernetes,
  topologySpreadConstraints: z.array(kubernetes),
  priorityClassName: z.string(),
  podSecurityContext: kubernetes,
  serviceAccount: z
    .strictObject({ create: z.boolean(), name: z.string(), annotations: strings, automount: z.boolean() })
    .partial(),
};

const service = z.strictObject({ type: z.enum(["ClusterIP", "NodePort"]), nodePort: port }).partial();
const switchable = { enabled: z.boolean() };

const ChartValues = z
  .strictObject({
    ...RunOptions.shape,
    global: z.looseObject({ imageRegistry: z.string(), imagePullSecrets: z.array(z.string()) }).partial(),
    nameOverride: z.string(),
    fullnameOverride: z.string(),
    commonLabels: strings,
    image: image.partial(),
    rbac: z.strictObject({ create: z.boolean() }).partial(),
    token: z.string(),
    coordinator: z
      .strictObject({
        name: dnsName,
        backoffLimit: z.int().min(0),
        activeDeadlineSeconds: z.int().min(1).nullable(),
        terminationGracePeriodSeconds: z.int().min(0),
        cleanup: z.enum(["always", "onSuccess", "never"]),
        ...pods,
      })
      .partial(),
    worker: z.strictObject({ ...pods, lockVolume: z.looseObject({}) }).partial(),
    lease: z.strictObject(switchable).partial(),
    mysql: z
      .strictObject({
        ...switchable,
        external: z.strictObject({ host: z.string(), port }).partial(),
        auth: z
          .strictObject({
            database: z.string().regex(/^\w{1,64}$/),
            username: z.string().regex(/^\w{1,32}$/),
            password: z.string(),
            rootPassword: z.string(),
            existingSecret: z.string(),
            passwordKey: z.string().min(1),
            rootPasswordKey: z.string().min(1),
          })
          .partial(),
        extraArgs: z.array(z.string()),
        storage: quantity,
        image: image.partial(),
        ...pods,
      })
      .partial(),
    redis: z
      .strictObject({
        ...switchable,
        instances: z.int().min(1).max(9),
        external: z.strictObject({ nodes: z.array(z.string().regex(/^[^:/@]+:\d+$/)) }).partial(),
        auth: z.strictObject({ passwords: strings, existingSecret: z.string(), usersKey: z.string().min(1) }).partial(),
        image: image.partial(),
        ...pods,
      })
      .partial(),
    prometheus: z
      .strictObject({
        ...switchable,
        external: z.strictObject({ url: z.string().regex(/^(https?:\/\/[^/]+(\/.*)?)?$/) }).partial(),
        scrapeInterval: duration,
        retention: duration,
        storage: quantity,
        service,
        image: image.partial(),
        ...pods,
      })
      .partial(),
    metrics: z
      .strictObject({
        annotations: z.strictObject(switchable).partial(),
        podMonitor: z.strictObject({ ...switchable, labels: strings, interval: duration }).partial(),
      })
      .partial(),
    grafana: z
      .strictObject({
        ...switchable,
        adminPassword: z.string(),
        existingSecret: z.string(),
        passwordKey: z.string().min(1),
        service,
        image: image.partial(),
        ...pods,
      })
      .partial(),
    dashboard: z
      .strictObject({ configMap: z.strictObject({ ...switchable, labels: strings, annotations: strings }).partial() })
      .partial(),
    networkPolicy: z
      .strictObject({
        ...switchable,
        dns: z.strictObject({ peers, ports: z.array(port) }).partial(),
        apiServer: z.strictObject({ peers, ports: z.array(port) }).partial(),
        externalPeers: peers,
        allowFrom: z
          .strictObject({ mysql: peers, redis: peers, prometheus: peers, grafana: peers, metrics: peers })
          .partial(),
      })
      .partial(),
    test: z.strictObject({ wait: z.string().regex(/^\d+(\.\d+)?(ms|s|m|h)$/) }).partial(),
  })
  .partial();
