import { once } from "node:events";
import { connect } from "node:net";
import { type Link, TERM_MS } from "./link.ts";

/**
 * Connects to a program that listens on this Unix socket. It was not started here, so no signal reaches it: only the
 * connection can be ended. Rejects with the error of the system where nothing listens.
 */
export async function connectSocket(path: string): Promise<Link> {
  const socket = connect(path);
  await once(socket, "connect");
  const ended = new Promise<string>((resolve) => {
    socket.once("error", (error) => resolve(`lost the connection: ${error.message}`));
    socket.once("close", () => resolve("closed the connection"));
  });
  return {
    input: socket,
    output: socket,
    inputClosed: "closed the connection",
    ended,
    kill(signal) {
      if (signal === "SIGKILL") socket.destroy();
    },
    async end() {
      socket.end();
      let forced = false;
      const destroy = setTimeout(() => {
        forced = true;
        socket.destroy();
      }, TERM_MS);
      const how = await ended;
      clearTimeout(destroy);
      return { how, forced, leftovers: false };
    },
  };
}
