#!/usr/bin/env python3
"""
A lock that looks right and is not: a mutex of this process for each key, which other processes do not see. It keeps every
rule of `holdfast check-lock`, where one program is tried by itself; a run with two or more workers must call it violated.
Speaks holdfast-lock/1.
"""
import collections
import json
import sys
import threading
import time

mutexes = collections.defaultdict(threading.Lock)  # key -> mutex
held = {}  # hold -> mutex
cancelled = set()
guard = threading.RLock()  # of held, cancelled and standard output


def send(**message):
    with guard:
        print(json.dumps(message), flush=True)


def acquire(re, key, hold, timeout_ms):
    """Waits in a thread of its own, so that other messages are answered meanwhile."""
    deadline = time.monotonic() + timeout_ms / 1000
    while not mutexes[key].acquire(blocking=False):
        if hold in cancelled or time.monotonic() > deadline:
            return finish(re, hold)
        time.sleep(0.002)
    finish(re, hold, mutexes[key])


def finish(re, hold, mutex=None):
    """Answers an `acquire`, with the mutex if it was acquired, unless it was cancelled."""
    with guard:
        if hold in cancelled:
            return mutex and mutex.release()
        if mutex is not None:
            held[hold] = mutex
        send(type="timeout" if mutex is None else "acquired", re=re, hold=hold)


for line in sys.stdin:
    message = json.loads(line)
    kind, re, hold = message["type"], message["id"], message.get("hold")
    if kind == "init":
        send(type="ready", re=re, name="broken", version="1", language="Python")
    elif kind == "ping":
        send(type="pong", re=re)
    elif kind == "acquire":
        arguments = (re, message["key"], hold, message["timeout_ms"])
        threading.Thread(target=acquire, args=arguments, daemon=True).start()
    elif kind == "cancel":
        with guard:
            cancelled.add(hold)
            send(type="acquired" if hold in held else "cancelled", re=re, hold=hold)
    elif kind == "release":
        mutex = held.pop(hold, None)
        if mutex is not None:
            mutex.release()
        send(type="lost" if mutex is None else "released", re=re, hold=hold)
    elif kind == "close":
        send(type="closed", re=re)
