/** The lock services that the runs need: each must answer, have an account for the workers, and refuse what it may not do. */
import { LOCK_SERVICE_TITLES, type LockService } from "../../worker/contract.ts";
import type { LockServiceVariables } from "../../worker/servers/lock-services.ts";
import type { LockServiceClient } from "../clients/lock-service-client.ts";
import { openLockService } from "../clients/lock-services.ts";
import { ConfigError } from "../errors.ts";
import type { AclProbe } from "../judge/report-data.ts";
import { servicesFor } from "../plan/requirements.ts";
import type { PlannedRun } from "../plan/scenarios/index.ts";

/** What was found: the version of each service, for the report, and the probes. */
export interface LockServiceFindings {
  readonly versions: Readonly<Record<string, string>>;
  readonly acl: readonly AclProbe[];
}

/**
 * `wait` repeats a check until the server answers. Throws ServerError when a service cannot be used, and ConfigError when
 * it grants no TTL as short as a run wants.
 */
export async function checkLockServices(
  plans: readonly PlannedRun[],
  variables: LockServiceVariables,
  missing: Readonly<Partial<Record<LockService, string>>>,
  wait: <T>(check: () => Promise<T>) => Promise<T>,
): Promise<LockServiceFindings> {
  const versions: Record<string, string> = {};
  const acl: AclProbe[] = [];
  for (const service of servicesFor(plans)) {
    if (missing[service] !== undefined) continue;
    const client = openLockService(service, variables);
    try {
      versions[service] = await wait(() => client.check());
      await wait(() => client.prepare());
      await checkTtl(service, client, plans);
      acl.push(...(await client.probes()));
    } finally {
      client.close();
    }
  }
  return { versions, acl };
}

async function checkTtl(service: LockService, client: LockServiceClient, plans: readonly PlannedRun[]) {
  const shortestMs = await client.shortestTtlMs();
  const tooShort = plans.find((plan) => plan.lockTtlMs < shortestMs && servicesFor([plan]).includes(service));
  if (tooShort === undefined) return;
  throw new ConfigError(
    `--lock-ttl ${tooShort.lockTtlMs}ms: ${LOCK_SERVICE_TITLES[service]} grants ${shortestMs} ms or more; choose a longer TTL, or leave out the strategy "${service}"`,
  );
}
