/**
 * The authentication plugin client_ed25519 of MariaDB. The signature is Ed25519 (RFC 8032, section 5.1.6), except that
 * the secret scalar is derived from the password itself instead of from a seed of 32 bytes. Functions that take a seed or
 * a key, such as Node's, therefore cannot make it.
 */
import { createHash } from "node:crypto";

/** For the option `authPlugins` of the driver: answers the server's challenge with a signature. */
export const ed25519Plugin =
  ({ connection }: { connection: { config: { password?: string } } }) =>
  (challenge: Buffer): Promise<Buffer> =>
    // The driver may leave the NUL byte that ends the challenge in the packet.
    signEd25519(Buffer.from(connection.config.password ?? ""), challenge.subarray(0, CHALLENGE_BYTES));

/** Returns the 64 bytes of the signature. */
export async function signEd25519(password: Buffer, message: Buffer): Promise<Buffer> {
  const { Point, scalar, nonceKey } = await deriveKey(password);
  const nonce = Point.Fn.create(toNumber(sha512(nonceKey, message)));
  const commitment = Point.BASE.multiply(nonce).toBytes();
  const publicKey = Point.BASE.multiply(scalar).toBytes();
  const challenge = Point.Fn.create(toNumber(sha512(commitment, publicKey, message)));
  return Buffer.concat([commitment, Point.Fn.toBytes(Point.Fn.add(nonce, Point.Fn.mul(challenge, scalar)))]);
}

/** The key with which a signature of this password is verified. */
export async function publicKeyOf(password: Buffer): Promise<Buffer> {
  const { Point, scalar } = await deriveKey(password);
  return Buffer.from(Point.BASE.multiply(scalar).toBytes());
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const CHALLENGE_BYTES = 32;

async function deriveKey(password: Buffer) {
  // Few accounts need it, so a worker does not load it at its start.
  const { ed25519 } = await import("@noble/curves/ed25519.js");
  const { Point } = ed25519;
  const hash = sha512(password);
  const clamped = Buffer.from(hash.subarray(0, 32));
  clamped[0]! &= 248;
  clamped[31]! = (clamped[31]! & 63) | 64;
  return { Point, scalar: Point.Fn.create(toNumber(clamped)), nonceKey: hash.subarray(32) };
}

const sha512 = (...parts: Uint8Array[]) => createHash("sha512").update(Buffer.concat(parts)).digest();
/** Little-endian, as are all numbers of Ed25519. */
const toNumber = (bytes: Buffer) => BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
