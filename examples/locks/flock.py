#!/usr/bin/env python3
"""A lock by flock on one file for each key: holds between processes of one machine. Speaks holdfast-lock/1."""
import fcntl
import hashlib
import json
import os
import sys
import tempfile
import threading
import time

folder = os.environ.get("FLOCK_FOLDER", os.path.join(tempfile.gettempdir(), "holdfast-flock"))
os.makedirs(folder, exist_ok=True)
held = {}  # hold -> open file
cancelled = set()
guard = threading.RLock()  # of held, cancelled and standard output


def send(**message):
    with guard:
        print(json.dumps(message), flush=True)


def acquire(re, key, hold, timeout_ms):
    """Waits in a thread of its own, so that other messages are answered meanwhile."""
    deadline = time.monotonic() + timeout_ms / 1000
    file = open(os.path.join(folder, hashlib.sha256(key.encode()).hexdigest()), "w")
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if hold in cancelled or time.monotonic() > deadline:
                return finish(re, hold)
            time.sleep(0.002)
    finish(re, hold, file)


def finish(re, hold, file=None):
    """Answers an `acquire`, with the file if the lock was acquired, unless it was cancelled."""
    with guard:
        if hold in cancelled:
            return file and file.close()
        if file is not None:
            held[hold] = file
        send(type="timeout" if file is None else "acquired", re=re, hold=hold)


for line in sys.stdin:
    message = json.loads(line)
    kind, re, hold = message["type"], message["id"], message.get("hold")
    if kind == "init":
        send(type="ready", re=re, name="flock", version="1", language="Python")
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
        file = held.pop(hold, None)
        if file is not None:
            file.close()
        send(type="lost" if file is None else "released", re=re, hold=hold)
    elif kind == "close":
        send(type="closed", re=re)
