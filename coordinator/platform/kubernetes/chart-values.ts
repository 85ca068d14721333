/** Names the chart's values beside the variables and options that an error message names: its users set only values. */
import { kebabCase } from "../../plan/options.ts";
import { RunOptions } from "../../plan/settings.ts";

/** Returns the message, with the values of the chart behind it if it names a variable or an option that they set. */
export function withChartValues(message: string): string {
  const variables = message.match(/\b(MYSQL|REDIS|PROMETHEUS)_[A-Z_]+\b|\bHOLDFAST_TOKEN\b/g) ?? [];
  const options = Object.keys(RunOptions.shape)
    .filter((option) => new RegExp(`--${kebabCase(option)}(?![a-z-])`).test(message))
    .map((option) => VALUE_OF_OPTION[option] ?? option);
  const values = [...new Set([...variables.flatMap(valuesFor), ...options])];
  return values.length === 0 ? message : `${message} (in the values of the chart: ${values.join(", ")})`;
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const valuesFor = (variable: string) => VALUES.find(([pattern]) => pattern.test(variable))?.[1] ?? [];

/** Where the value has another name. */
const VALUE_OF_OPTION: Readonly<Partial<Record<string, string>>> = { lock: "locks", faults: "faults.names" };

/** In order: the first pattern that matches decides. docs/your-servers.md has the table for readers. */
const VALUES: readonly (readonly [variable: RegExp, value: string])[] = [
  [/^MYSQL_URLS$/, "mysql.external.nodes"],
  [/^MYSQL_URL$/, "mysql.external.host, mysql.auth"],
  [/^MYSQL_PASSWORD/, "mysql.auth.existingSecret"],
  [/^MYSQL_TLS/, "mysql.external.tls"],
  [/^REDIS_URLS?$/, "redis.external"],
  [/^REDIS_(SENTINEL_)?PASSWORD/, "redis.auth"],
  [/^REDIS_TLS/, "redis.external.tls"],
  [/^PROMETHEUS_(URL|HEADERS)$/, "prometheus.external"],
  [/^PROMETHEUS_TLS/, "prometheus.external.tls"],
  [/^PROMETHEUS_/, "prometheus.external.auth"],
  [/^HOLDFAST_TOKEN$/, "tokenExistingSecret"],
];
