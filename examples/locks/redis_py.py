#!/usr/bin/env python3
"""
The lock of redis-py (pip install redis, or Debian's python3-redis) on the server of HOLDFAST_LOCK_REDIS_URL. A lease of
ttl_ms. Speaks holdfast-lock/1.
"""
import json
import os
import sys
import threading
import time

import redis

PREFIX = "holdfast:guest:"  # the keys that the Redis user `guest` may use
SLICE_SECONDS = 0.2  # how long the library waits before the program looks whether the wait is cancelled

held = {}  # hold -> lock
cancelled = set()
guard = threading.RLock()  # of held, cancelled and standard output


def send(**message):
    with guard:
        print(json.dumps(message), flush=True)


def connect(re):
    try:
        client = redis.Redis.from_url(os.environ.get("HOLDFAST_LOCK_REDIS_URL", ""))
        client.ping()
    except (redis.RedisError, ValueError) as error:
        return send(type="error", re=re, code="config", text=f"HOLDFAST_LOCK_REDIS_URL: {error}")
    claims = {"lease": True, "check": True}
    send(type="ready", re=re, name="redis-py", version=redis.__version__, language="Python", claims=claims)
    return client


def acquire(lock, re, hold, timeout_ms):
    """Waits in a thread of its own, so that other messages are answered meanwhile."""
    deadline = time.monotonic() + timeout_ms / 1000
    try:
        while not lock.acquire(blocking_timeout=max(0, min(SLICE_SECONDS, deadline - time.monotonic()))):
            if hold in cancelled or time.monotonic() > deadline:
                return finish(re, hold, "timeout")
        if not finish(re, hold, "acquired", lock):
            lock.release()
    except redis.RedisError as error:
        finish(re, hold, "error", code="indefinite", text=str(error))


def finish(re, hold, outcome, lock=None, **more):
    """Answers an `acquire`, unless it was cancelled."""
    with guard:
        if hold in cancelled:
            return False
        if lock is not None:
            held[hold] = lock
        send(type=outcome, re=re, hold=hold, **more)
        return True


def change(re, hold, done, action):
    """Answers `done`, or `lost` if the action on the lock fails."""
    try:
        ok, text = hold in held and action(held[hold]) is not False, ""
    except redis.RedisError as error:
        ok, text = False, str(error)
    send(type=done, re=re, hold=hold) if ok else send(type="lost", re=re, hold=hold, text=text)


for line in sys.stdin:
    message = json.loads(line)
    kind, re, hold = message["type"], message["id"], message.get("hold")
    if kind == "init":
        run, ttl_ms, client = message["run"], message["ttl_ms"], connect(re)
    elif kind == "ping":
        send(type="pong", re=re)
    elif kind == "acquire":
        name = f"{PREFIX}{run}:{message['key']}"
        lock = client.lock(name, timeout=ttl_ms / 1000, sleep=0.005, thread_local=False)
        threading.Thread(target=acquire, args=(lock, re, hold, message["timeout_ms"]), daemon=True).start()
    elif kind == "cancel":
        with guard:
            cancelled.add(hold)
            send(type="acquired" if hold in held else "cancelled", re=re, hold=hold)
    elif kind == "extend":
        seconds = message["ttl_ms"] / 1000
        change(re, hold, "extended", lambda lock: lock.extend(seconds, replace_ttl=True))
    elif kind == "check":
        change(re, hold, "held", lambda lock: lock.owned())
    elif kind == "release":
        change(re, hold, "released", lambda lock: lock.release())
        held.pop(hold, None)
    elif kind == "close":
        send(type="closed", re=re)
