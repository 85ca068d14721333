#!/usr/bin/env python3
"""
Serves a lock that speaks over standard input and output on the Unix socket HOLDFAST_LOCK_SOCKET: serve.py COMMAND ... Each
connection gets a process of its own.
"""
import os
import signal
import socket
import subprocess
import sys

path = os.environ["HOLDFAST_LOCK_SOCKET"]
if os.path.exists(path):
    os.unlink(path)  # left by an earlier process
# The first process of a container ignores this signal unless it handles it.
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
with socket.socket(socket.AF_UNIX) as server:
    server.bind(path)
    server.listen()
    while True:
        connection, _ = server.accept()
        with connection:
            subprocess.Popen(sys.argv[1:], stdin=connection, stdout=connection)
