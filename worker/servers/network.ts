/**
 * Faults of the network, in the byte stream between a client and its server: the same code on one machine and in a pod,
 * without privileges, and for every client library that takes a stream.
 *
 * While a link is partitioned, nothing arrives in either direction and nobody is told: bytes wait, as do the opening and
 * the end of a connection. What was written before a client gave up is still delivered when the partition ends, as the
 * kernel does.
 */
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { LINKS, type Link } from "../contract.ts";
import { createMysqlAnswer, isTls } from "./mysql-answer.ts";

export interface Network {
  /** Puts the faults between this socket and its user. */
  wrap(link: Link, socket: Socket): Socket;
  /** Lets nothing pass for `forMs`. */
  partition(link: Link, forMs: number): void;
  /** Delays what passes in the next `forMs`, in each direction, by `delayMs` and up to half more or less. */
  slow(link: Link, delayMs: number, forMs: number): void;
  /**
   * Cuts the connection of the next request when its answer has arrived, and drops the answer: the request has been carried
   * out. With TLS the end of MySQL's answer cannot be seen, and is taken for reached when nothing has arrived for 50 ms.
   */
  loseAnswer(link: Link, onLost: () => void): void;
}

/** `random` is uniform in [0, 1), for the jitter. */
export function createNetwork(random: () => number): Network {
  const wires = Object.fromEntries(LINKS.map((link) => [link, createWire(link)])) as Record<Link, Wire>;
  return {
    wrap: (link, socket) => new FaultyStream(socket, wires[link], random) as unknown as Socket,
    partition(link, forMs) {
      wires[link].blockedUntil = performance.now() + forMs;
    },
    slow(link, delayMs, forMs) {
      Object.assign(wires[link], { delayMs, slowUntil: performance.now() + forMs });
    },
    loseAnswer(link, onLost) {
      wires[link].onLost = onLost;
    },
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** The state of all connections of one link. Times are by `performance.now()`. */
interface Wire {
  readonly link: Link;
  blockedUntil: number;
  delayMs: number;
  slowUntil: number;
  /** Set until the request is sent whose answer is to be lost. */
  onLost: (() => void) | undefined;
}

const createWire = (link: Link): Wire => ({ link, blockedUntil: 0, delayMs: 0, slowUntil: 0, onLost: undefined });

/** Longer than one statement takes, and much shorter than a TTL. */
const ANSWERED_MS = 50;

/** One direction of a connection: what happens passes in order, each no earlier than its time. */
class Lane {
  readonly #wire: Wire;
  readonly #random: () => number;
  readonly #waiting: { readonly due: number; readonly happen: () => void }[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(wire: Wire, random: () => number) {
    this.#wire = wire;
    this.#random = random;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  pass(happen: () => void): void {
    const now = performance.now();
    const { slowUntil, delayMs, blockedUntil } = this.#wire;
    const due = now < slowUntil ? now + delayMs * (0.5 + this.#random()) : now;
    if (this.isEmpty && Math.max(due, blockedUntil) <= now) happen();
    else {
      this.#waiting.push({ due, happen });
      this.#pump();
    }
  }

  #pump(): void {
    clearTimeout(this.#timer);
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const waitMs = Math.max(next.due, this.#wire.blockedUntil) - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#pump(), Math.ceil(waitMs));
        return;
      }
      this.#waiting.shift();
      next.happen();
    }
  }
}

/** What the drivers use of a socket. */
class FaultyStream extends Duplex {
  /** As the user of the stream sees it. */
  connecting: boolean;
  /** The name that Node compares with the certificate of a server. */
  readonly _host: unknown;
  readonly #socket: Socket;
  readonly #wire: Wire;
  readonly #out: Lane;
  /** Set while the answer to the last request is to be lost. */
  #onLost: (() => void) | undefined;
  /** What has arrived of that answer. */
  #answer = createMysqlAnswer();
  /** By the first bytes of that answer: a later chunk may begin within a record. */
  #answersInTls: boolean | undefined;
  #answered: NodeJS.Timeout | undefined;

  constructor(socket: Socket, wire: Wire, random: () => number) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#wire = wire;
    this.connecting = socket.connecting;
    this._host = (socket as unknown as { _host?: unknown })._host;
    this.#out = new Lane(wire, random);
    const arriving = new Lane(wire, random);
    const arrive = (happen: () => void) => arriving.pass(() => !this.destroyed && happen());
    for (const event of ["connect", "secureConnect"])
      socket.on(event, () =>
        arrive(() => {
          this.connecting = false;
          this.emit(event);
        }),
      );
    socket.on("timeout", () => this.emit("timeout"));
    socket.on("data", (chunk: Buffer) => {
      if (this.#onLost !== undefined) return this.#drop(chunk, this.#onLost);
      arrive(() => this.push(chunk));
    });
    socket.on("end", () => arrive(() => this.push(null)));
    socket.on("error", (error) => arrive(() => this.destroy(error)));
    socket.on("close", () => arrive(() => this.destroy()));
  }

  get remoteAddress() {
    return this.#socket.remoteAddress;
  }

  get remotePort() {
    return this.#socket.remotePort;
  }

  setNoDelay(on?: boolean): this {
    this.#socket.setNoDelay(on);
    return this;
  }

  setKeepAlive(on?: boolean, initialDelayMs?: number): this {
    this.#socket.setKeepAlive(on, initialDelayMs);
    return this;
  }

  setTimeout(ms: number, listener?: () => void): this {
    this.#socket.setTimeout(ms);
    if (listener !== undefined) this.once("timeout", listener);
    return this;
  }

  ref(): this {
    this.#socket.ref();
    return this;
  }

  unref(): this {
    this.#socket.unref();
    return this;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#onLost ??= this.#wire.onLost;
    this.#wire.onLost = undefined;
    this.#out.pass(() => this.#socket.write(chunk));
    done();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#out.pass(() => this.#socket.end());
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.#out.isEmpty) this.#socket.destroy();
    else this.#out.pass(() => this.#socket.destroySoon());
    done(error);
  }

  #drop(chunk: Buffer, onLost: () => void): void {
    clearTimeout(this.#answered);
    this.#answersInTls ??= isTls(chunk);
    if (this.#wire.link !== "mysql") this.#lose(onLost);
    else if (this.#answersInTls) this.#answered = setTimeout(() => this.#lose(onLost), ANSWERED_MS);
    else if (this.#answer.endsWith(chunk)) this.#lose(onLost);
  }

  #lose(onLost: () => void): void {
    this.#onLost = undefined;
    onLost();
    this.#socket.destroy();
    this.destroy(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }));
  }
}
