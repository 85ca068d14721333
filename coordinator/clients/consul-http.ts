/** Requests of the coordinator to Consul, and what their failures mean. */
import type { ConsulConnection } from "../../worker/servers/consul.ts";
import { explainConsul } from "../../worker/servers/consul-errors.ts";
import type { HttpAnswer, HttpRequest } from "../../worker/servers/http.ts";
import { ServerError } from "../errors.ts";
import { oneLine } from "../text/format.ts";

/** A connection with one of the tokens. */
export interface ConsulClient {
  /** Returns any answer. Throws ServerError if there is none. */
  send(request: HttpRequest): Promise<HttpAnswer>;
  /** Returns the text of an answer with status 200. Throws ServerError. */
  ask(request: HttpRequest): Promise<string>;
  /** The error that an answer means. */
  refusal(answer: Pick<HttpAnswer, "status" | "text">): ServerError;
  close(): void;
}

/** `variable` is the one of the connection's token. */
export function consulClient(
  connection: ConsulConnection,
  variable: "CONSUL_TOKEN" | "CONSUL_ADMIN_TOKEN",
): ConsulClient {
  const where = `Consul at ${connection.address}`;

  async function send(request: HttpRequest): Promise<HttpAnswer> {
    try {
      return await connection.send(request);
    } catch (error) {
      const { message, code = "" } = error as { message: string; code?: string };
      const { fix, final } = explainConsul(error) ?? { fix: "start it or correct CONSUL_URL", final: false };
      throw new ServerError(where, oneLine(message || code), fix, { cause: error, final });
    }
  }

  function refusal({ status, text }: Pick<HttpAnswer, "status" | "text">): ServerError {
    const reason = oneLine(`${status} ${text.trim()}`).slice(0, 300);
    const { fix, final } = explainConsul(new Error(text)) ?? {
      fix: "check that CONSUL_URL leads to the HTTP API of Consul",
      final: false,
    };
    return new ServerError(where, reason, fix.replaceAll("CONSUL_TOKEN", variable), { final });
  }

  return {
    send,
    async ask(request) {
      const answer = await send(request);
      if (answer.status === 200) return answer.text;
      throw refusal(answer);
    },
    refusal,
    close: connection.close,
  };
}
