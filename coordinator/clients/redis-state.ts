/** What INFO says that may explain the result of a run. */

/** Returns the fields of one server, or of all primaries of a cluster together. Each text is an answer to `INFO everything`. */
export function redisState(infos: readonly string[]): Record<string, string> {
  const all = (field: string) => infos.flatMap((info) => infoField(info, field) ?? []);
  const sum = (values: readonly string[]) => String(values.reduce((total, value) => total + Number(value), 0));
  const flushes = infos.flatMap((info) => [...info.matchAll(/^cmdstat_flush(?:all|db):calls=(\d+)/gm)]);
  const state: Record<string, string> = {
    flushes: sum(flushes.map(([, calls]) => calls!)),
    asked_at_ms: String(Date.now()),
  };
  for (const field of TEXTS) if (all(field).length > 0) state[field] = [...new Set(all(field))].sort().join(",");
  for (const field of COUNTERS) if (all(field).length > 0) state[field] = sum(all(field));
  // The smallest uptime shows whether any of the servers restarted.
  const uptimes = all("uptime_in_seconds").map(Number);
  if (uptimes.length > 0) state.uptime_in_seconds = String(Math.min(...uptimes));
  return state;
}

export const infoField = (info: string, field: string): string | undefined =>
  new RegExp(`^${field}:(\\S+)`, "m").exec(info)?.[1];

// --- Internal helpers -----------------------------------------------------------------------------------------------

const TEXTS = ["redis_version", "run_id", "role", "aof_enabled", "maxmemory", "maxmemory_policy"];
const COUNTERS = ["evicted_keys", "expired_keys", "used_memory_peak"];
