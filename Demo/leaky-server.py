#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A small web shop with a leak, for trying fdwatch. Three roles, each a process of its own:

  leaky-server.py upstream           the stock service: answers one question a connection, then hangs up
  leaky-server.py serve UPSTREAM     the shop: asks the stock service at each request
  leaky-server.py load SERVER        its customers

UPSTREAM and SERVER are ports on 127.0.0.1. A role that listens prints its port, and each ends after --seconds.
"""

import argparse
import collections
import http.server
import os
import resource
import signal
import socket
import socketserver
import sys
import threading
import time
import urllib.error
import urllib.request

LOOPBACK = "127.0.0.1"
OUT_OF_STOCK = 10  # one question in so many has this answer


class OutOfStock(Exception):
    pass


class Stock(socketserver.ThreadingTCPServer):
    """The upstream."""

    request_queue_size = 128
    daemon_threads = True
    asked = 0

    class RequestHandlerClass(socketserver.StreamRequestHandler):
        def handle(self):
            self.rfile.readline()
            self.server.asked += 1
            self.wfile.write(b"none left\n" if self.server.asked % OUT_OF_STOCK == 0 else b"plenty\n")

    def __init__(self):
        super().__init__((LOOPBACK, 0), self.RequestHandlerClass)


class Shop(http.server.ThreadingHTTPServer):
    """The server that leaks."""

    request_queue_size = 128

    class RequestHandlerClass(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            try:
                status, text = 200, self.server.ask_stock(self.path)
            except OutOfStock as error:
                # The leak. Kept for an overview of the last errors, the error keeps its traceback, that keeps the
                # frame of ask_stock, and that its local variable `connection`: the socket is never closed.
                self.server.recent_errors.append(error)
                status, text = 503, "sorry, out of stock"
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format, *arguments):
            pass

    def __init__(self, stock):
        super().__init__((LOOPBACK, 0), self.RequestHandlerClass)
        self.stock = (LOOPBACK, stock)
        self.recent_errors = collections.deque(maxlen=10_000)

    def ask_stock(self, item):
        connection = socket.create_connection(self.stock)
        connection.sendall(item.encode() + b"\n")
        answer = connection.recv(100)
        if answer.startswith(b"none"):
            raise OutOfStock(item)
        connection.close()
        return "in stock"


def listen(server):
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def load(port, rate, seconds):
    """One customer after the other, each with a connection of its own."""
    start = time.monotonic()
    for number in range(int(rate * seconds)):
        time.sleep(max(0, start + number / rate - time.monotonic()))
        try:
            urllib.request.urlopen(f"http://{LOOPBACK}:{port}/item/{number}", timeout=5).read()
        except urllib.error.HTTPError as error:
            error.close()  # "out of stock" is an ordinary answer
        except OSError as error:
            sys.exit(f"the shop does not answer: {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=["upstream", "serve", "load"])
    parser.add_argument("port", type=int, nargs="?", help="of the upstream, or of the server")
    parser.add_argument("--rate", type=float, default=20, help="requests a second (20)")
    parser.add_argument("--seconds", type=float, default=120, help="end after that time (120)")
    options = parser.parse_args()
    if (options.port is None) != (options.role == "upstream"):
        parser.error(f"{options.role} takes {'no' if options.role == 'upstream' else 'a'} port")

    ends = (signal.SIGTERM, signal.SIGINT)

    def leave(*_):
        for number in ends:  # once: a second one would interrupt the way out
            signal.signal(number, signal.SIG_IGN)
        sys.exit()

    for number in ends:
        signal.signal(number, leave)
    if options.role == "load":
        return load(options.port, options.rate, options.seconds)
    if options.role == "upstream":
        listen(Stock())
        return time.sleep(options.seconds)

    # The usual limit of a service, whatever this shell has.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024 if hard == resource.RLIM_INFINITY else min(1024, hard), hard))
    shop = Shop(options.port)
    listen(shop)
    try:
        time.sleep(options.seconds)
    finally:
        # The truth, to hold against what fdwatch says.
        print(len(shop.recent_errors), flush=True)
        os._exit(0)


if __name__ == "__main__":
    main()
