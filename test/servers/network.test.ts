/** The faults of the network on real sockets, one connection at a time. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { createNetwork } from "../../worker/servers/network.ts";

/** Answers each line in capitals. */
let server: Server;
let received: string[];
before(async () => {
  server = createServer((socket) => {
    socket.on("data", (chunk) => {
      received.push(String(chunk));
      socket.write(String(chunk).toUpperCase());
    });
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
after(() => server.close());

async function open(random = () => 0.5) {
  received = [];
  const network = createNetwork(random);
  const stream = network.wrap("redis", connect((server.address() as AddressInfo).port, "127.0.0.1"));
  await once(stream, "connect");
  return { network, stream };
}
const ask = async (stream: Socket, text: string) => {
  stream.write(text);
  return String((await once(stream, "data"))[0]);
};

test("without a fault, bytes and the end of a connection pass", async () => {
  const { stream } = await open();
  assert.equal(await ask(stream, "a"), "A");
  stream.end();
  await once(stream, "close");
});

test("in a partition nothing arrives and nobody is told, and afterwards everything does, in order", async () => {
  const { network, stream } = await open();
  const begun = performance.now();
  network.partition("redis", 150);
  stream.write("a");
  stream.write("b");
  let told = "";
  stream.on("data", (chunk) => {
    told += chunk;
  });
  while (told.length < 2) await once(stream, "data");
  assert.ok(performance.now() - begun >= 149);
  assert.equal(told, "AB");
  stream.destroy();
});

test("a connection cannot be opened in a partition", async () => {
  const { network, stream } = await open();
  const begun = performance.now();
  network.partition("redis", 100);
  const second = network.wrap("redis", connect((server.address() as AddressInfo).port, "127.0.0.1"));
  await once(second, "connect");
  assert.ok(performance.now() - begun >= 99);
  for (const each of [stream, second]) each.destroy();
});

test("what was written before the client gave up is delivered when the partition ends", async () => {
  const { network, stream } = await open();
  network.partition("redis", 100);
  stream.write("late");
  stream.destroy();
  await once(stream, "close");
  assert.deepEqual(received, []);
  while (received.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(received, ["late"]);
});

test("a slow network delays each direction and keeps the order", async () => {
  const jitter = [0.9, 0, 0.9, 0, 0.9, 0];
  const { network, stream } = await open(() => jitter.shift() ?? 0);
  network.slow("redis", 50, 10_000);
  const begun = performance.now();
  stream.write("a");
  stream.write("b");
  let told = "";
  stream.on("data", (chunk) => {
    told += chunk;
  });
  while (told.length < 2) await once(stream, "data");
  assert.equal(told, "AB");
  assert.ok(performance.now() - begun >= 70, "70 ms there, at least 25 ms back");
  stream.destroy();
});

test("a lost answer: the request arrives, the answer does not, and the connection ends", async () => {
  const { network, stream } = await open();
  let lost = 0;
  network.loseAnswer("redis", () => {
    lost += 1;
  });
  stream.on("data", () => assert.fail("the answer arrived"));
  stream.write("a");
  const [error] = await once(stream, "error");
  assert.equal(error.code, "ECONNRESET");
  assert.deepEqual([received, lost], [["a"], 1]);
});

test("a record of TLS that arrives in two chunks is not read as an answer of MySQL", async () => {
  // The second chunk alone would be the last packet of such an answer.
  const record = Buffer.from([0x17, 0x03, 0x03, 0x00, 0x07]);
  const rest = Buffer.from([0x03, 0x00, 0x00, 0x01, 0xff, 0x00, 0x00]);
  const arrived = Promise.withResolvers<void>();
  const answering = createServer((socket) => {
    socket.once("data", async () => {
      socket.write(record);
      await arrived.promise;
      socket.write(rest);
    });
    socket.on("error", () => {});
  });
  answering.listen(0, "127.0.0.1");
  await once(answering, "listening");
  try {
    const network = createNetwork(() => 0.5);
    const socket = connect((answering.address() as AddressInfo).port, "127.0.0.1");
    const stream = network.wrap("mysql", socket);
    await once(stream, "connect");
    const { promise: lost, resolve } = Promise.withResolvers<void>();
    let restAtMs = 0;
    socket.on("data", (chunk) => {
      if (chunk.equals(rest)) restAtMs = performance.now();
      else arrived.resolve();
    });
    network.loseAnswer("mysql", resolve);
    stream.on("error", () => {});
    stream.write("a");
    await lost;
    assert.ok(restAtMs > 0 && performance.now() - restAtMs > 10, "some time after the last chunk");
    stream.destroy();
  } finally {
    answering.close();
  }
});

test("a fault of one link does not touch the other", async () => {
  const { network, stream } = await open();
  network.partition("mysql", 10_000);
  network.loseAnswer("mysql", () => assert.fail("it happened"));
  assert.equal(await ask(stream, "a"), "A");
  stream.destroy();
});
