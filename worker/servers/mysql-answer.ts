/**
 * Follows the answer to one request with several statements that return no rows. The server answers each statement when
 * it is done, so the first bytes of the answer say nothing of the last statement. Of the protocol only the OK and the
 * error packet are known (dev.mysql.com/doc/dev/mysql-server: "Generic Response Packets"); any other ends the answer.
 */
export function createMysqlAnswer() {
  let waiting: Buffer = Buffer.alloc(0);
  return {
    /** Whether the answer has ended with this chunk of it. */
    endsWith(chunk: Buffer): boolean {
      waiting = Buffer.concat([waiting, chunk]);
      while (waiting.length >= HEADER_BYTES) {
        const end = HEADER_BYTES + waiting.readUIntLE(0, 3);
        if (waiting.length < end) return false;
        if (!isFollowed(waiting.subarray(HEADER_BYTES, end))) return true;
        waiting = waiting.subarray(end);
      }
      return false;
    },
  };
}

/** Whether these bytes are TLS, whose records begin with a type from 20 to 23 and major version 3. */
export const isTls = (chunk: Buffer): boolean => chunk[0]! >= 0x14 && chunk[0]! <= 0x17 && chunk[1] === 3;

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** The length of the packet in 3 bytes, and its number. */
const HEADER_BYTES = 4;
const OK = 0;
const SERVER_MORE_RESULTS_EXISTS = 8;

/** Whether the packet is an OK packet that announces another one. */
function isFollowed(packet: Buffer): boolean {
  if (packet[0] !== OK) return false;
  const afterRows = 1 + lengthOfInteger(packet, 1);
  const status = afterRows + lengthOfInteger(packet, afterRows);
  return (packet.readUInt16LE(status) & SERVER_MORE_RESULTS_EXISTS) !== 0;
}

/** How many bytes a length-encoded integer takes. */
function lengthOfInteger(packet: Buffer, at: number): number {
  const first = packet[at]!;
  return first < 0xfc ? 1 : first === 0xfc ? 3 : first === 0xfd ? 4 : 9;
}
