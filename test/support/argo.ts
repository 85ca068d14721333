/** What Argo CD does with the chart's output: its phases, its order, and how it applies each object. */

// biome-ignore lint/suspicious/noExplicitAny: the output of Helm has no type.
type Any = any;

export interface SyncStep {
  readonly object: Any;
  readonly phase: "PreSync" | "Sync" | "PostSync";
  /** Argo CD deletes the object and creates it again (`kubectl replace --force`); otherwise it runs `kubectl apply`. */
  readonly replace: boolean;
}

/** Returns the steps of one sync, in order. Argo CD ignores Helm hooks that it does not know, such as `test`. */
export function syncSteps(objects: readonly Any[]): SyncStep[] {
  return objects
    .flatMap((object) => {
      const phase = phaseOf(object.metadata.annotations ?? {});
      const options = object.metadata.annotations?.["argocd.argoproj.io/sync-options"] ?? "";
      const replace = ["Replace=true", "Force=true"].every((option) => options.split(",").includes(option));
      return phase === undefined ? [] : [{ object, phase, replace }];
    })
    .sort(
      (a, b) =>
        PHASES.indexOf(a.phase) - PHASES.indexOf(b.phase) ||
        rankOf(a.object.kind) - rankOf(b.object.kind) ||
        a.object.metadata.name.localeCompare(b.object.metadata.name),
    );
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const PHASES = ["PreSync", "Sync", "PostSync"] as const;

/** The phases to which Argo CD maps Helm's hooks. It has no counterpart of rollbacks, deletions and tests. */
const PHASE_OF_HOOK: Readonly<Record<string, SyncStep["phase"]>> = {
  "pre-install": "PreSync",
  "pre-upgrade": "PreSync",
  "post-install": "PostSync",
  "post-upgrade": "PostSync",
};

/** The kinds of this chart, in the order in which Argo CD applies them; kinds that it does not know come last. */
const KINDS =
  "NetworkPolicy ServiceAccount Secret ConfigMap Role RoleBinding Service Pod Deployment StatefulSet Job CronJob".split(
    " ",
  );

const rankOf = (kind: string) => (KINDS.includes(kind) ? KINDS.indexOf(kind) : KINDS.length);

/** Returns undefined for an object that Argo CD does not apply. Its own annotation overrides Helm's. */
function phaseOf(annotations: Readonly<Record<string, string>>): SyncStep["phase"] | undefined {
  const own = annotations["argocd.argoproj.io/hook"];
  if (own !== undefined) return PHASES.find((phase) => phase === own);
  const hooks = annotations["helm.sh/hook"];
  if (hooks === undefined) return "Sync";
  return hooks.split(",").flatMap((hook) => PHASE_OF_HOOK[hook] ?? [])[0];
}
