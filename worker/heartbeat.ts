/** Workers pull: the answer to each heartbeat is the next command, so only Prometheus ever connects to a worker. */
import { Agent, request } from "node:http";
import { Command, type Heartbeat } from "./contract.ts";

export interface HeartbeatOptions {
  readonly url: string;
  readonly token: string;
  /** Returns the time from an answer to the next heartbeat, milliseconds. */
  readonly intervalMs: () => number;
  /** After this long without an answer, `onLost` is called. */
  readonly lostMs: number;
  /** Returns the heartbeat to send now. */
  readonly beat: () => Heartbeat;
  readonly onCommand: (command: Command) => void;
  readonly onLost: (reason: string) => void;
}

/** Limit for one attempt, so that one lost request does not use up `lostMs`. */
const ATTEMPT_MS_MAX = 3_000;

/** Sends heartbeats until stopped. `now()` sends one at once, and resolves when it was answered or has failed. */
export function startHeartbeats(options: HeartbeatOptions) {
  let agent = newAgent();
  let answeredAt = performance.now();
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let last: unknown = "no answer yet";

  const send = async () => {
    try {
      const command = Command.parse(await postJson(agent, options, options.beat()));
      answeredAt = performance.now();
      if (!stopped) options.onCommand(command);
    } catch (error) {
      last = error;
      // Whatever answered may not be the coordinator, so the next attempt looks the name up and connects again.
      agent.destroy();
      agent = newAgent();
      if (!stopped && performance.now() - answeredAt > options.lostMs) {
        stopped = true;
        options.onLost(
          `the coordinator at ${options.url} does not answer: ${last instanceof Error ? last.message : last}`,
        );
      }
    }
  };
  const tick = async () => {
    await send();
    if (!stopped) timer = setTimeout(tick, options.intervalMs());
  };
  timer = setTimeout(tick, 0);

  return {
    now: send,
    stop() {
      stopped = true;
      clearTimeout(timer);
      agent.destroy();
    },
  };
}

const newAgent = () => new Agent({ keepAlive: true, maxSockets: 1 });

function postJson(agent: Agent, { url, token, lostMs }: HeartbeatOptions, body: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const payload = JSON.stringify(body);
    const attemptMs = Math.min(lostMs / 4, ATTEMPT_MS_MAX);
    const sent = request(
      new URL("/heartbeat", url),
      {
        agent,
        method: "POST",
        timeout: attemptMs,
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          "content-length": Buffer.byteLength(payload),
        },
      },
      (response) => {
        let text = "";
        const from = response.socket.remoteAddress;
        response.setEncoding("utf8");
        response.on("data", (chunk) => {
          text += chunk;
        });
        response.on("error", reject);
        response.on("end", () => {
          if (response.statusCode !== 200)
            return reject(new Error(`${from} answered with status ${response.statusCode}: ${text.trim()}`));
          try {
            resolve(JSON.parse(text));
          } catch (error) {
            reject(error);
          }
        });
      },
    );
    sent.on("timeout", () => sent.destroy(new Error(`no answer within ${attemptMs} ms`)));
    sent.on("error", reject);
    sent.end(payload);
  });
}
