export interface ListenAddress {
  /** A name or an address; IPv6 without brackets. `::` stands for all addresses of both families. */
  readonly host: string;
  readonly port: number;
}

/** Parses HOLDFAST_LISTEN, which config.ts has checked: `host:port` or `[IPv6 address]:port`. */
export function parseListenAddress(text: string): ListenAddress {
  const colon = text.lastIndexOf(":");
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(text.slice(colon + 1)) };
}

/** Whether a listener on this address has no address of its own that others could connect to. */
export const isAnyAddress = (host: string): boolean => host === "::" || host === "0.0.0.0";
