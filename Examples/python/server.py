#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server that tells the first line of the files that it is asked for, and forgets to close those that are empty.

fdwatch reads who opened them without any configuration, and is told of those that the collector found.

    make leakprofile && LEAKPROFILE=.build/leakprofile/libleakprofile.so python3 Examples/python/server.py
"""
import ctypes
import inspect
import json
import os
import socket
import sys
import warnings

library = ctypes.CDLL(os.environ.get("LEAKPROFILE", "libleakprofile.so.1"))
library.leakprofile_add.argtypes = [ctypes.c_int, ctypes.c_uint64, ctypes.c_int, ctypes.c_int]
library.leakprofile_remove.argtypes = [ctypes.c_int, ctypes.c_uint64]
profiles = {}


def track(file):
    """Records a file under the line that opened it: the stack in the table is the interpreter's, and alike for all.

    What follows the space in the profile's name is the call site that fdwatch then names.
    """
    caller = inspect.stack()[1]
    name = f"file {caller.function} {os.path.basename(caller.filename)}:{caller.lineno}"
    if name not in profiles:
        profiles[name] = library.leakprofile_new(name.encode())
    library.leakprofile_add(profiles[name], id(file), file.fileno(), 0)
    close = file.close

    def closed():
        library.leakprofile_remove(profiles[name], id(file))
        close()

    file.close = closed
    return file


def report(message, category, filename, lineno, file=None, line=None):
    """What Python says of a file that was never closed goes to fdwatch."""
    if not issubclass(category, ResourceWarning):
        return
    said = {"message": f"{message}: missing close", "stack": [f"{filename}:{lineno}"], "resource": "file"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        to.setblocking(False)
        try:
            to.sendto(json.dumps(said).encode(), os.environ.get("FDWATCH_REPORT_SOCKET", "/run/fdwatch/report.sock"))
        except OSError:
            pass


warnings.showwarning = report
warnings.simplefilter("always", ResourceWarning)
forgotten = []


def first_line(path):
    file = track(open(path))
    line = file.readline()
    if not line:
        forgotten.append(file)
        return f"{path} is empty"
    file.close()
    return line.rstrip("\n")


def dropped(path):
    open(path)  # and nobody keeps it
    return "dropped"


for request in sys.stdin:
    path = request.rstrip("\n")
    print(dropped(path[1:]) if path.startswith("!") else first_line(path), flush=True)
