import type { Redis } from "ioredis";
import { GRANT_CHANNEL_PREFIX, LOCK_KEY_PREFIX } from "../contract.ts";

/*
 * The lock as Redis sees it. Three keys for each lock, in one hash slot:
 *   owner  the holder's id, expiring with its lease
 *   queue  the ids of those who wait, first come first
 *   fence  the last fencing token given out
 * An id is `client:sequence:ttl`: the client names the channel where its grants arrive, the ttl is the lease it asks for.
 * Every script may run twice without harm, so a command whose answer was lost can simply be sent again.
 */

/** What nobody asks for any longer disappears after a day. */
const KEPT_MS = 24 * 60 * 60 * 1_000;

const PRELUDE = `
local owner, queue, fence = KEYS[1], KEYS[2], KEYS[3]
local id = ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- A counter alone would start again at 1 if Redis lost its data, and an old holder would outrank the new ones. The time
-- cannot: microseconds since 1970 fit in a double, and in the time that the key is kept no sane clock goes back a day.
local function new_token()
  local token = math.max((tonumber(redis.call('GET', fence)) or 0) + 1, now)
  redis.call('SET', fence, string.format('%.0f', token), 'PX', ${KEPT_MS})
  return token
end

local function lease(of) return string.match(of, '%d+$') end

local function take(of, token)
  redis.call('SET', owner, of, 'PX', lease(of))
  return token
end

-- Hands the lock to the first in the queue who can be told. Nobody listens on the channel of a dead process.
-- Whoever runs the script learns its own grant from the reply.
local function hand_over()
  local token
  while true do
    local next = redis.call('LPOP', queue)
    if not next then return nil end
    token = token or new_token()
    local channel = '${GRANT_CHANNEL_PREFIX}' .. string.match(next, '^[^:]+')
    if next == id or redis.call('PUBLISH', channel, string.format('%s %.0f %.0f', next, token, now)) > 0 then
      take(next, token)
      return next, token
    end
  end
end

local function give_back()
  if redis.call('GET', owner) ~= id then return 0 end
  if not hand_over() then redis.call('DEL', owner) end
  return 1
end
`;

const SCRIPTS = {
  /**
   * Takes the lock or a place in the queue. Also asked again by one who waits and suspects that a grant was lost or that
   * the holder died: who owns the lock already starts the lease anew, who is in the queue keeps the place.
   * Replies { token or 0, server time in µs, rest of the holder's lease in ms }.
   */
  request: `
local may_wait = ARGV[2] == '1'
local holder = redis.call('GET', owner)
if holder == id then
  redis.call('PEXPIRE', owner, lease(id))
  return { tonumber(redis.call('GET', fence)) or new_token(), now, 0 }
end
if not holder then
  local next, token = hand_over()
  if not next then return { take(id, new_token()), now, 0 } end
  if next == id then return { token, now, 0 } end
end
if may_wait and not redis.call('LPOS', queue, id) then
  redis.call('RPUSH', queue, id)
  redis.call('PEXPIRE', queue, ${KEPT_MS})
end
return { 0, now, redis.call('PTTL', owner) }`,

  /** Leaves the queue, and gives the lock back if it was granted meanwhile. */
  cancel: `
redis.call('LREM', queue, 0, id)
return give_back()`,

  /** Gives the lock to the next in the queue. Replies 0 if it was not the caller's. */
  release: `
return give_back()`,

  /** Starts the lease anew. Replies 0 if the lock was not the caller's. */
  extend: `
if redis.call('GET', owner) ~= id then return 0 end
redis.call('PEXPIRE', owner, lease(id))
return 1`,
};

export type RequestReply = readonly [token: number, serverTimeUs: number, leaseLeftMs: number];

export interface LockScripts {
  request(key: string, id: string, mayWait: boolean): Promise<RequestReply>;
  cancel(key: string, id: string): Promise<number>;
  release(key: string, id: string): Promise<number>;
  extend(key: string, id: string): Promise<number>;
}

/** Makes the scripts callable on a connection: EVAL the first time, EVALSHA from then on; SCRIPT is not needed. */
export function lockScripts(connection: Redis): LockScripts {
  const call = <Reply>(name: keyof typeof SCRIPTS) => {
    const command = `holdfast_${name}`;
    connection.defineCommand(command, { numberOfKeys: 3, lua: PRELUDE + SCRIPTS[name] });
    const run = (connection as unknown as Record<string, (...args: string[]) => Promise<Reply>>)[command]!.bind(
      connection,
    );
    return (key: string, id: string, ...more: string[]) => {
      const prefix = `${LOCK_KEY_PREFIX}{${key}}:`;
      return run(`${prefix}owner`, `${prefix}queue`, `${prefix}fence`, id, ...more);
    };
  };
  const request = call<RequestReply>("request");
  return {
    request: (key, id, mayWait) => request(key, id, mayWait ? "1" : "0"),
    cancel: call("cancel"),
    release: call("release"),
    extend: call("extend"),
  };
}

/** Where the grants of a client arrive. */
export const grantChannel = (client: string) => GRANT_CHANNEL_PREFIX + client;
