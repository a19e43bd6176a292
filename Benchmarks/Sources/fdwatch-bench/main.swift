// SPDX-License-Identifier: Apache-2.0
// Everything in one run, or parts of it: fdwatch-bench [looks] [idle] [memory] [detection] [profiles] [leakprofile]
// [daemon].

import CPeer
import Descriptors
import Detection
import Foundation
import Linux
import Procfs
import Watch

let sizes = [100, 1000, 10_000, 19_000]

/// A directory handle for the peers.
final class Handle {
  let descriptor: Int32
  init(_ pid: Int32) { descriptor = open("/proc/\(pid)", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
  deinit { close(descriptor) }
}

func tool(_ path: String, _ arguments: [String]) throws -> Double? {
  guard FileManager.default.isExecutableFile(atPath: path) else { return nil }
  return try nanoseconds {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    defer { posix_spawn_file_actions_destroy(&actions) }
    var words = ([path] + arguments).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var pid: pid_t = 0
    guard posix_spawn(&pid, path, &actions, nil, &words, environ) == 0 else { throw BenchError("cannot run \(path)") }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
  }
}

/// Polls and censuses of one child.
func looks(_ results: inout Results, _ count: Int, _ counting: Procfs.Counting) throws {
  let child = try Child(holding: count)
  defer { withExtendedLifetime(child) {} }
  let handle = Handle(child.pid)
  let procfs = try Procfs(counting: counting)
  let isListing = counting == .byListing
  let label = isListing ? "before 6.2: " : ""

  var process = try ProcessDirectory(pid: child.pid, in: procfs)
  let poll = try isListing ? pollByListing(&process, handle, count) : pollBySize(child, handle, in: procfs)
  results.add(
    "\(label)poll without change, \(count) open", time(poll.a),
    "\(isListing ? "getdents64" : "fstatat") \(time(poll.b))",
    times(poll.ratio), bar: "≤ 2 ×", holds: poll.ratio <= 2)

  let rounds = count > 5000 ? 11 : 31
  let full = try compare(rounds: rounds) {
    var table = DescriptorTable()
    var poll = Poll(time: .zero, count: 0)
    try table.census(of: &process, verifying: .links, into: &poll)
    if poll.opened.count != count { throw BenchError("\(poll.opened.count) of \(count) seen") }
  } _: {
    _ = peer_census(handle.descriptor, 1)
  }
  results.add(
    "\(label)first census, \(count) open", time(full.a), "C \(time(full.b))", times(full.ratio), bar: "≤ 1.3 ×",
    holds: full.ratio <= 1.3)

  var table = DescriptorTable()
  var first = Poll(time: .zero, count: 0)
  try table.census(of: &process, verifying: .links, into: &first)
  let verify = try compare(rounds: rounds) {
    var poll = Poll(time: .zero, count: 0)
    try table.census(of: &process, verifying: .links, into: &poll)
    if !poll.closed.isEmpty { throw BenchError("something was closed") }
  } _: {
    _ = peer_census(handle.descriptor, 0)
  }
  results.add(
    "\(label)verifying census, \(count) open", time(verify.a), "C \(time(verify.b))", times(verify.ratio),
    bar: "≤ 1.3 ×",
    holds: verify.ratio <= 1.3)
  if isListing { return }

  for (path, arguments) in [("/usr/bin/lsof", ["-nPp"]), ("/usr/bin/lsfd", ["-p"])] {
    let runs = (0..<5).compactMap { _ in try? tool(path, arguments + ["\(child.pid)"]) }
    guard !runs.isEmpty else {
      results.add("\(path) is not here", "", "", "", bar: "", holds: nil)
      continue
    }
    let ratio = median(runs) / verify.a
    results.add(
      "census of all targets, \(count) open", time(verify.a),
      "\(path.split(separator: "/").last ?? "") \(time(median(runs)))", times(ratio), bar: "≥ 4 ×", holds: ratio >= 4)
  }
}

/// All that a poll does: count, decide that no closer look is due, ask the detector.
func pollBySize(_ child: Child, _ handle: Handle, in procfs: borrowing Procfs) throws -> Comparison {
  let watched = try WatchedProcess(pid: child.pid, in: procfs, interval: .seconds(1), start: 0)
  _ = try watched.poll(at: .zero)
  let repeats = 2000
  return try compare(rounds: 31) {
    for _ in 0..<repeats { _ = try watched.poll(at: .milliseconds(1)) }
  } _: {
    _ = peer_count(handle.descriptor, Int32(repeats))
  } / Double(repeats)
}

/// Where counting is listing, a poll is a list, compared with the one before.
func pollByListing(_ process: inout ProcessDirectory, _ handle: Handle, _ count: Int) throws -> Comparison {
  var table = DescriptorTable()
  var poll = Poll(time: .zero, count: 0)
  try table.census(of: &process, verifying: .links, into: &poll)
  let repeats = max(1, 20_000 / count)
  return try compare(rounds: 31) {
    for _ in 0..<repeats { try table.census(of: &process, verifying: .none, into: &poll) }
  } _: {
    _ = peer_count_by_listing(handle.descriptor, Int32(repeats))
  } / Double(repeats)
}

/// A thousand idle processes, looked at once a second.
func idle(_ results: inout Results, _ counting: Procfs.Counting) throws {
  let parent = try Child(holding: 20)
  defer { withExtendedLifetime(parent) {} }
  let procfs = try Procfs(counting: counting)
  let watched = try (0..<1000).map { _ in
    try WatchedProcess(pid: try parent.fork(), in: procfs, interval: .seconds(1), start: 0)
  }
  // Ten minutes as fast as it goes: how rarely they are looked at closely settles.
  for second in 0..<600 { for process in watched { _ = try process.poll(at: .seconds(second)) } }
  // Then for as long as it takes until all have been verified once, at the pace of the clock.
  let seconds = Int(Schedule.longestQuiet / .seconds(1))
  let before = cpuSeconds()
  for second in 0..<seconds {
    let start = ContinuousClock().now
    for process in watched { _ = try process.poll(at: .seconds(600 + second)) }
    procfs.sockets.roundEnded()
    Thread.sleep(forTimeInterval: max(0, 1 - (ContinuousClock().now - start) / .seconds(1)))
  }
  let share = (cpuSeconds() - before) / Double(seconds) * 100
  results.add(
    "\(counting == .byListing ? "before 6.2: " : "")1,000 idle processes at 1 Hz",
    String(format: "%.2f %% of a core", share),
    "", "", bar: "< 1 %", holds: share < 1)
}

/// What the shipped binary takes to watch 100,000 descriptors of six processes.
func memory(_ results: inout Results) throws {
  let children = try (0..<6).map { _ in try Child(holding: 16_667) }
  defer { withExtendedLifetime(children) {} }
  guard let binary = ProcessInfo.processInfo.environment["FDWATCH"] else { throw BenchError("run it by run.sh") }
  let watch = Process()
  watch.executableURL = URL(filePath: binary)
  watch.arguments = ["--format", "json"] + children.map { String($0.pid) }
  watch.standardOutput = FileHandle.nullDevice
  try watch.run()
  // A minute, in which all are verified some times.
  Thread.sleep(forTimeInterval: 60)
  defer { watch.terminate() }
  let resident = try megabytes("VmRSS", of: watch.processIdentifier)
  let bar = 20 + 64 * 100_002 / 1e6
  results.add(
    "100,002 tracked descriptors, resident",
    String(
      format: "%.1f MB, of which RssAnon %.1f MB; highest %.1f MB", resident,
      try megabytes("RssAnon", of: watch.processIdentifier), try megabytes("VmHWM", of: watch.processIdentifier)), "",
    "",
    bar: String(format: "≤ %.1f MB", bar), holds: resident <= bar)
}

/// What the detector takes.
func detection(_ results: inout Results) {
  var detector = Detector()
  var first = Poll(time: .zero, count: 10_000)
  first.opened = (0..<10_000 as Range<Int32>).map {
    Poll.Opened(number: $0, target: "socket:[\($0 + 1000)]", inode: UInt64($0 + 1000), flags: 2, position: 0)
  }
  _ = detector.observe(first)
  var time = Duration.zero
  let idle = (0..<31).map { _ in
    nanoseconds {
      for _ in 0..<1000 {
        time += .milliseconds(1)
        _ = detector.observe(Poll(time: time, count: 10_000, isCensus: false))
      }
    } / 1000
  }
  results.add(
    "observe, nothing changed", fdwatch_bench.time(median(idle)), "", "", bar: "< 1 µs", holds: median(idle) < 1000)
  var inode: UInt64 = 100_000
  let busy = (0..<31).map { _ in
    time += .seconds(1)
    var poll = Poll(time: time, count: 10_000)
    poll.closed = Array(0..<10_000 as Range<Int32>)
    poll.opened = (0..<10_000 as Range<Int32>).map {
      inode += 1
      return Poll.Opened(number: $0, target: "socket:[\(inode)]", inode: inode, flags: 2, position: 0)
    }
    return nanoseconds { _ = detector.observe(poll) } / 10_000
  }
  results.add(
    "observe, a census of 10,000 that all changed, each", fdwatch_bench.time(median(busy)), "", "", bar: "< 200 ns",
    holds: median(busy) < 200)
}

let words = CommandLine.arguments.dropFirst()
if words.first == "--decode", let file = words.dropFirst().first {
  try decodeOnce(file)
  exit(0)
}
let isWanted = { (part: String) in words.isEmpty || words.contains(part) }
var results = Results()
if isWanted("looks") {
  for size in sizes { try looks(&results, size, .bySize) }
  for size in sizes { try looks(&results, size, .byListing) }
}
if isWanted("idle") {
  try idle(&results, .bySize)
  try idle(&results, .byListing)
}
if isWanted("memory") { try memory(&results) }
if isWanted("detection") { detection(&results) }
if isWanted("profiles") { try profiles(&results) }
if isWanted("leakprofile") { try leakTables(&results) }
if isWanted("daemon") { try daemon(&results) }
print(results.table)
