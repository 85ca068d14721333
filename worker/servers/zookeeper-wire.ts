/**
 * The binary protocol between a client and ZooKeeper: records of Jute, as in the file zookeeper.jute of its source. Each
 * frame begins with its length in 4 bytes. Numbers are big-endian; buffers and strings begin with their length.
 */

/** Codes of requests, as in ZooDefs.OpCode. */
export const OPERATIONS = {
  delete: 2,
  exists: 3,
  getData: 4,
  setData: 5,
  getAcl: 6,
  setAcl: 7,
  getChildren: 8,
  ping: 11,
  create2: 15,
  reconfig: 16,
  createContainer: 19,
  auth: 100,
  closeSession: -11,
} as const;
export type OperationName = keyof typeof OPERATIONS;

/** Reserved ids of requests: an event of a watch, the answer to a ping, the answer to a login. */
export const XID_EVENT = -1;
export const XID_PING = -2;
export const XID_AUTH = -4;

export const CREATE_FLAGS = { persistent: 0, "ephemeral-sequential": 3, container: 4 } as const;
export type CreateMode = keyof typeof CREATE_FLAGS;

export const PERMISSIONS = { read: 1, write: 2, create: 4, delete: 8, admin: 16 } as const;
export interface AclEntry {
  readonly permissions: readonly (keyof typeof PERMISSIONS)[];
  readonly scheme: string;
  readonly id: string;
}

export interface Stat {
  /** The transaction that created the node. */
  readonly czxid: bigint;
  /** The session whose end deletes the node; 0 if it is not ephemeral. */
  readonly ephemeralOwner: bigint;
}

/** An answer of ZooKeeper that is an error, by the name that its Java client gives it; or a connection without an answer. */
export class ZooKeeperError extends Error {
  override readonly name = "ZooKeeperError";
  readonly code: string;
  constructor(code: string, detail = "", cause?: unknown) {
    super(detail === "" ? code : `${code} ${detail}`, { cause });
    this.code = code;
  }
}

export const isCode = (error: unknown, ...codes: readonly string[]): error is ZooKeeperError =>
  error instanceof ZooKeeperError && codes.includes(error.code);

/** The name of an error code, as in KeeperException.Code. */
export const errorName = (code: number): string => ERRORS[code] ?? `error ${code}`;

// --- Writing --------------------------------------------------------------------------------------------------------

export const int = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32BE(value);
  return bytes;
};
export const long = (value: bigint): Buffer => {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigInt64BE(value);
  return bytes;
};
export const bool = (value: boolean): Buffer => Buffer.of(value ? 1 : 0);
export const buffer = (value: Buffer): Buffer => Buffer.concat([int(value.length), value]);
export const string = (value: string): Buffer => buffer(Buffer.from(value));
export const acl = (entries: readonly AclEntry[]): Buffer =>
  Buffer.concat([
    int(entries.length),
    ...entries.flatMap(({ permissions, scheme, id }) => [
      int(permissions.reduce((bits, name) => bits | PERMISSIONS[name], 0)),
      string(scheme),
      string(id),
    ]),
  ]);

/** A whole frame. */
export function frame(...parts: readonly Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([int(length), ...parts], length + 4);
}

// --- Reading --------------------------------------------------------------------------------------------------------

/** Reads one frame from its start. Throws RangeError at its end. */
export interface Reader {
  int(): number;
  long(): bigint;
  buffer(): Buffer;
  string(): string;
  strings(): string[];
  stat(): Stat;
}

export function readerOf(bytes: Buffer): Reader {
  let at = 0;
  const reader: Reader = {
    int() {
      at += 4;
      return bytes.readInt32BE(at - 4);
    },
    long() {
      at += 8;
      return bytes.readBigInt64BE(at - 8);
    },
    buffer() {
      const length = Math.max(0, reader.int());
      at += length;
      return bytes.subarray(at - length, at);
    },
    string: () => reader.buffer().toString(),
    strings: () => Array.from({ length: Math.max(0, reader.int()) }, reader.string),
    stat() {
      const czxid = reader.long();
      at += STAT_BEFORE_OWNER;
      const ephemeralOwner = reader.long();
      at += STAT_AFTER_OWNER;
      return { czxid, ephemeralOwner };
    },
  };
  return reader;
}

/** Returns a function that takes bytes as they arrive and calls `each` with each whole frame, without its length. */
export function splitFrames(each: (frame: Buffer) => void): (bytes: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (bytes) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    while (rest.length >= 4) {
      const end = 4 + rest.readInt32BE();
      if (rest.length < end) return;
      const frame = rest.subarray(4, end);
      rest = rest.subarray(end);
      each(frame);
    }
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** mzxid, ctime, mtime, and three versions of 4 bytes each. */
const STAT_BEFORE_OWNER = 3 * 8 + 3 * 4;
/** Length of the data, number of children, pzxid. */
const STAT_AFTER_OWNER = 2 * 4 + 8;

const ERRORS: Readonly<Record<number, string>> = {
  [-1]: "SystemError",
  [-2]: "RuntimeInconsistency",
  [-3]: "DataInconsistency",
  [-4]: "ConnectionLoss",
  [-5]: "MarshallingError",
  [-6]: "Unimplemented",
  [-7]: "OperationTimeout",
  [-8]: "BadArguments",
  [-13]: "NewConfigNoQuorum",
  [-14]: "ReconfigInProgress",
  [-101]: "NoNode",
  [-102]: "NoAuth",
  [-103]: "BadVersion",
  [-108]: "NoChildrenForEphemerals",
  [-110]: "NodeExists",
  [-111]: "NotEmpty",
  [-112]: "SessionExpired",
  [-113]: "InvalidCallback",
  [-114]: "InvalidACL",
  [-115]: "AuthFailed",
  [-118]: "SessionMoved",
  [-119]: "NotReadOnly",
  [-122]: "RequestTimeout",
  [-123]: "ReconfigDisabled",
  [-124]: "SessionClosedRequireAuth",
  [-125]: "QuotaExceeded",
  [-127]: "ThrottledOp",
};
