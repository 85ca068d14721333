/** The chart as Helm renders it, as objects. */
import { readdirSync } from "node:fs";
import { parse, parseAllDocuments } from "yaml";
import type { Helm } from "./helm.ts";

// biome-ignore lint/suspicious/noExplicitAny: the output of Helm has no type; the tests check its shape.
export type Any = any;

export const ROOT = new URL("../../", import.meta.url);
export const CI_VALUES: readonly string[] = readdirSync(new URL("helm/ci", ROOT)).filter((name) =>
  name.endsWith("-values.yaml"),
);

/** Renders the chart with these values, for a cluster with the API of the Prometheus operator. */
export const template = (helm: Helm, ...options: string[]) =>
  helm.run("template", "demo", "helm", "--namespace", "lab", "--api-versions", OPERATOR_API, ...options);

/** The names under which a cluster offers it. */
const OPERATOR_API = "monitoring.coreos.com/v1,monitoring.coreos.com/v1/PrometheusRule";

export const objectsOf = (yaml: string): Any[] =>
  parseAllDocuments(yaml)
    .map((document) => {
      if (document.errors.length > 0) throw document.errors[0];
      return document.toJS();
    })
    .filter((object) => object !== null);

/** Names such as `Job/coordinator`, for messages. */
export const nameOf = (object: Any): string => `${object.kind}/${object.metadata.name}`;

/** The pod template of the workers, which the chart keeps in a ConfigMap. */
export const workerTemplate = (objects: readonly Any[]): string => {
  const map = objects.find(({ kind, data }) => kind === "ConfigMap" && data?.["worker.yaml"] !== undefined);
  return map.data["worker.yaml"];
};

export interface PodTemplate {
  readonly of: string;
  readonly metadata: Any;
  readonly spec: Any;
}

/** Every pod that these objects create, including the workers. */
export function podTemplates(objects: readonly Any[]): PodTemplate[] {
  const templates: PodTemplate[] = objects.flatMap((object) => {
    if (object.kind === "Pod") return [{ of: nameOf(object), metadata: object.metadata, spec: object.spec }];
    const { template, volumeClaimTemplates = [] } = object.spec?.jobTemplate?.spec ?? object.spec ?? {};
    if (template === undefined) return [];
    const volumes = [...template.spec.volumes, ...volumeClaimTemplates.map(volumeOf)];
    return [{ of: nameOf(object), ...template, spec: { ...template.spec, volumes } }];
  });
  return [...templates, { of: "worker", ...parse(workerTemplate(objects)) }];
}

/** The volume that each pod of a StatefulSet gets for this template of a claim. */
const volumeOf = ({ metadata }: Any) => ({
  name: metadata.name,
  persistentVolumeClaim: { claimName: `${metadata.name}-0` },
});
