#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replays labelled recordings and says how well the detector judges them.

usage: evaluate.py [--write README] FDWATCH DIR...

Each DIR holds NAME.jsonl.gz, labels.tsv (name, label "leak" or "none", kind: a list, leak_start_s) and truth.json.gz
(NAME -> the times at which a descriptor was leaked, s). The tables go to standard output and, with --write, between the
marks of Sources/Detection/README.md.

Two tiers are scored: `suspected` (p >= 0.5) and `alert`. On a leak an event is a find if it comes at or after the first
leaked descriptor and names a right kind; any event on a recording without a leak is false. The log loss is the mean of
-ln p at leaks and -ln(1 - p) at quiet ones, p being the highest probability told, between 0.02 and 0.98; 0.69 is a coin's.
Nothing of the model is fitted to recordings: leaving a family out when fitting, there is nothing to leave out.
"""
import concurrent.futures
import csv
import datetime
import gzip
import json
import math
import os
import statistics
import subprocess
import sys

SOCKETS = {"tcp", "udp", "unix", "netlink", "socket"}
TIERS = {"suspected": ("suspected", "alert"), "alert": ("alert",)}
BEGIN, END = "<!-- evaluation -->\n", "<!-- end of evaluation -->"


def right_kinds(text):
    kinds = set(text.split(","))
    if "socket" in kinds:
        kinds |= SOCKETS
    # A socket whose table was not read is only a socket.
    if kinds & {"tcp", "udp", "unix"}:
        kinds.add("socket")
    return kinds


def replay(binary, path):
    run = subprocess.run([binary, "replay", "--format", "json", path], capture_output=True, text=True, timeout=600)
    if run.returncode:
        sys.exit(f"{path}: {run.stderr.strip()}")
    events = [json.loads(line) for line in run.stdout.splitlines()]
    return [e for e in events if e.get("type") == "leak" and e["event"] in ("suspected", "alert")]


def judge(folder, row, events, leaked):
    """What came of one recording."""
    is_leak = row["label"] == "leak"
    start = leaked[0] if leaked else float(row["leak_start_s"]) if is_leak else 0.0
    kinds = right_kinds(row["kind"])
    told = [e for e in events if not is_leak or e["kind"] in kinds]
    result = {"name": row["name"], "leak": is_leak}
    result["p"] = min(max([0.02] + [e["probability"] for e in told]), 0.98)
    for tier, words in TIERS.items():
        of_tier = [e for e in told if e["event"] in words]
        if is_leak:
            first = next((e for e in of_tier if e["t"] >= start), None)
            result[tier] = first and sum(t <= first["t"] for t in leaked)
        else:
            result[tier] = of_tier[0]["t"] if of_tier else None
    return result


def evaluate(binary, folder):
    with open(os.path.join(folder, "labels.tsv"), newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    with gzip.open(os.path.join(folder, "truth.json.gz")) as file:
        truth = json.load(file)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = pool.map(lambda row: replay(binary, os.path.join(folder, row["name"] + ".jsonl.gz")), rows)
        return [judge(folder, row, events, truth.get(row["name"], [])) for row, events in zip(rows, runs)]


def summary(name, results):
    leaks = [r for r in results if r["leak"]]
    quiet = [r for r in results if not r["leak"]]
    loss = statistics.mean(-math.log(r["p"] if r["leak"] else 1 - r["p"]) for r in results)
    cells = [f"{name} ({len(leaks)} leaks, {len(quiet)} quiet)", f"{loss:.2f}"]
    for tier in TIERS:
        found = [r[tier] for r in leaks if r[tier] is not None]
        false = sum(r[tier] is not None for r in quiet)
        cells += [f"{len(found)} / {false}", f"{statistics.median(found):.0f}" if found else "-"]
    return cells


def reliability(results):
    """Of what was told at a probability, how many were leaks: the highest that was told of each recording."""
    rows = []
    for low, high in ((0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.0)):
        told = [r for r in results if low <= r["p"] < high]
        mean = f"{statistics.mean(r['p'] for r in told):.2f}" if told else "-"
        rows.append([f"{low} to {high}", mean, f"{sum(r['leak'] for r in told)} of {len(told)}"])
    return rows


def table(head, rows):
    lines = [head, ["---"] * len(head)] + rows
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def main():
    arguments = sys.argv[1:]
    readme = None
    if arguments[:1] == ["--write"]:
        readme, arguments = arguments[1], arguments[2:]
    if len(arguments) < 2:
        sys.exit(__doc__)
    binary, folders = arguments[0], arguments[1:]
    rows, everything = [], []
    for folder in folders:
        results = evaluate(binary, folder)
        everything += results
        rows.append(summary(os.path.basename(os.path.normpath(folder)), results))
        for r in results:
            wrong = r["leak"] and r["alert"] is None or not r["leak"] and r["suspected"] is not None
            if wrong:
                print(f"{folder}: {r['name']}: {'leak' if r['leak'] else 'quiet'}, p {r['p']:.2f}", file=sys.stderr)
    head = ["recordings", "log loss", "suspected: found / false", "leaked then, median", "alert: found / false",
            "leaked then, median"]
    text = f"Replayed on {datetime.date.today().isoformat()}, polls as recorded:\n\n" + table(head, rows)
    text += "\nThe highest probability told of each recording, against what it was:\n\n"
    text += table(["told", "mean", "were leaks"], reliability(everything))
    print(text, end="")
    if readme:
        with open(readme) as file:
            old = file.read()
        begin, end = old.index(BEGIN) + len(BEGIN), old.index(END)
        with open(readme, "w") as file:
            file.write(old[:begin] + text + old[end:])


main()
