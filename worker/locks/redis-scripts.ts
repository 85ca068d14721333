import type { Redis } from "ioredis";
import { GRANT_CHANNEL_PREFIX, LOCK_KEY_PREFIX } from "../contract.ts";

/*
 * The lock as Redis sees it. Three keys for each lock, in one hash slot:
 *   owner  the holder's id, expiring with its lease
 *   queue  the ids of the waiters, in the order of arrival
 *   fence  the last fencing token that was given out
 * An id is `client:sequence:ttl`: the client names the channel where its grants arrive, the ttl is the lease it asks
 * for. Every script is idempotent, so a command whose answer was lost can be sent again.
 *
 * The channels are sharded (Redis 7): in a Redis Cluster, a channel belongs to the nodes of its slot as a key does.
 */

/** Queue and fence of an unused lock expire after a day. */
const KEPT_MS = 24 * 60 * 60 * 1_000;

const PRELUDE = `
local owner, queue, fence = KEYS[1], KEYS[2], KEYS[3]
local id = ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- A counter alone would restart at 1 if Redis lost its data, and an old holder would have a higher token than new ones.
-- So the token is at least the time: microseconds since 1970 fit in a double, and no sane clock goes back by a day,
-- which is how long the key is kept.
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

-- Hands the lock to the first waiter in the queue that can be notified. The channel of a dead process has no subscriber.
-- This is asked before anything is published: a message also reaches the subscribers of replicas, which are not counted,
-- and a waiter that was passed over must not be told that it holds the lock.
-- The client that runs the script learns its own grant from the reply.
local function hand_over()
  local token
  while true do
    local next = redis.call('LPOP', queue)
    if not next then return nil end
    token = token or new_token()
    local channel = '${GRANT_CHANNEL_PREFIX}' .. string.match(next, '^(.+):%w+:%d+$')
    if next == id or redis.call('PUBSUB', 'SHARDNUMSUB', channel)[2] > 0 then
      take(next, token)
      if next ~= id then redis.call('SPUBLISH', channel, string.format('%s %.0f %.0f', next, token, now)) end
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
   * Takes the lock or a place in the queue. A waiter also sends it when a grant may have been lost or the holder may
   * have died: an id that owns the lock restarts its lease, an id in the queue keeps its place.
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

  /** Leaves the queue, and releases the lock if it was granted meanwhile. */
  cancel: `
redis.call('LREM', queue, 0, id)
return give_back()`,

  /** Hands the lock to the next in the queue. Replies 0 if the caller did not have it. */
  release: `
return give_back()`,

  /** Restarts the lease. Replies 0 if the caller did not have the lock. */
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

/** Makes the scripts callable on a connection: EVAL the first time, EVALSHA afterwards; SCRIPT is not needed. */
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

/** The channel where the grants of a client arrive. */
export const grantChannel = (client: string) => GRANT_CHANNEL_PREFIX + client;
