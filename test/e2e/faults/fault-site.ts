/** One installation whose servers stand on one node, so that the other one can be lost; each fault is a run of its own. */
import { workerNodes } from "../support/cluster.ts";
import { createSite, type Site, type Values } from "../support/site.ts";
import { QUICK } from "../support/values.ts";

/** Duration of a run in which something is to be done to it, on a machine that has much else to do. */
export const IN_TIME = "12s";
/** Flags of `kubectl delete` for an end without a warning. */
export const KILL = ["--grace-period=0", "--force"];

export interface FaultSite {
  readonly site: Site;
  /** The node of servers and coordinator. */
  readonly home: string;
  /** A node that has nothing but workers. */
  readonly away: string;
  /** Runs again, with these values beside those that all have. */
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
