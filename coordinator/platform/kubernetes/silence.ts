import { lookup } from "node:dns/promises";
import { ServerError } from "../../errors.ts";

/** How long DNS may take to answer. A working one answers within milliseconds, and the resolver waits for 5 s or more. */
const DNS_MS = 1_500;
/** Exists in every cluster. Where it does not, the answer "not found" shows as well that DNS answers. */
const NAME = "kubernetes.default.svc";

/**
 * Tells whether a server did not answer because no DNS server did, as behind a NetworkPolicy that does not admit the
 * cluster's DNS. A driver's own time limit passes before that of the resolver, so its error does not mention DNS.
 */
export function createSilenceExplainer(resolve: (name: string) => Promise<unknown> = lookup, dnsMs = DNS_MS) {
  // One lookup at a time: each occupies a thread until the resolver gives up.
  let pending: Promise<boolean> | undefined;

  function dnsAnswers(): Promise<boolean> {
    pending ??= resolve(NAME)
      .then(
        () => true,
        (error: NodeJS.ErrnoException) => error.code !== "EAI_AGAIN",
      )
      .finally(() => {
        pending = undefined;
      });
    const { promise: late, resolve: giveUp } = Promise.withResolvers<boolean>();
    const timer = setTimeout(giveUp, dnsMs, false);
    return Promise.race([pending, late]).finally(() => clearTimeout(timer));
  }

  return async (error: ServerError): Promise<ServerError | undefined> => {
    if (!isSilence(error) || (await dnsAnswers())) return undefined;
    return new ServerError(
      error.thing,
      `${error.reason}: no DNS server answers`,
      "check the DNS of the cluster, and let the NetworkPolicies admit it: values networkPolicy.dns.peers and networkPolicy.dns.ports",
      { cause: error, final: error.final },
    );
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Whether the error, or one that caused it, says that nothing answered. */
function isSilence(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code, name } = cause as NodeJS.ErrnoException;
    if (code === "EAI_AGAIN" || code === "ETIMEDOUT" || code?.includes("TIMEOUT") || name === "TimeoutError")
      return true;
  }
  return false;
}
