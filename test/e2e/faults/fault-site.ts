/** One installation whose servers run on one node, so that the other node can be lost. Each fault has its own run. */
import { workerNodes } from "../support/cluster.ts";
import { createSite, type Site, type Values } from "../support/site.ts";
import { QUICK } from "../support/values.ts";

/** Duration of a run that a fault interrupts, on a busy machine. */
export const IN_TIME = "12s";
/** Flags of `kubectl delete` that kill a pod without warning. */
export const KILL = ["--grace-period=0", "--force"];

export interface FaultSite {
  readonly site: Site;
  /** The node with the servers and the coordinator. */
  readonly home: string;
  /** A node with workers only. */
  readonly away: string;
  /** Runs again, with these values in addition to the common ones. */
  run(values: Values): Promise<unknown>;
}

export async function createFaultSite(): Promise<FaultSite> {
  const [site, [home = "", away = ""]] = await Promise.all([createSite("faults"), workerNodes()]);
  const pinned = { nodeSelector: { "kubernetes.io/hostname": home } };
  const servers = { mysql: pinned, redis: pinned, prometheus: pinned };
  let installed = false;
  return {
    site,
    home,
    away,
    async run({ coordinator = {}, ...values }: Values) {
      const all = { ...QUICK, ...servers, coordinator: { ...pinned, ...(coordinator as object) }, ...values };
      await (installed ? site.upgrade(all) : site.install(all));
      installed = true;
    },
  };
}
