// SPDX-License-Identifier: Apache-2.0
// What LeakProfile costs a program, beside Go's own profiles, and what its table costs who reads it.

import Descriptors
import Foundation
import LeakProfile
import LeakTable
import Parsing
import Pprof
import Procfs
import Profiles

private typealias Held = LeakProfile.Profile

private let pairs = 200_000

@inline(never)
private func deep(_ depth: Int, _ body: () -> Void) -> Int {
  if depth > 0 { return deep(depth - 1, body) + 1 }
  body()
  return 0
}

/// The stack that is recorded has 20 frames, or more.
private func atDepth20(_ body: () -> Void) { _ = deep(18, body) }

private func addAndRemove(_ profile: Held, _ first: Int32) {
  for number in 0..<Int32(pairs) {
    profile.add(descriptor: first + number % 64)
    profile.remove(descriptor: first + number % 64)
  }
}

private func withEightThreads(_ profile: Held) -> Double {
  nanoseconds {
    let threads = (0..<8).map { index in
      let thread = Thread { atDepth20 { addAndRemove(profile, Int32(index * 1000)) } }
      thread.start()
      return thread
    }
    for thread in threads { while !thread.isFinished { sched_yield() } }
  } / Double(8 * pairs)
}

/// Nanoseconds a pair: of one goroutine, and of eight. Empty without Go.
private func goFigures() throws -> [Double] {
  guard FileManager.default.isExecutableFile(atPath: "/usr/bin/go") else { return [] }
  let program = NSTemporaryDirectory() + "fdwatch-bench-go-\(getpid())"
  defer { try? FileManager.default.removeItem(atPath: program) }
  let source = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../go-peer/main.go").path
  _ = try tool("/usr/bin/go", ["build", "-o", program, source])
  let child = Process()
  child.executableURL = URL(filePath: program)
  let output = Pipe()
  child.standardOutput = output
  try child.run()
  let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  return text.split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
}

func leakTables(_ results: inout Results) throws {
  let profile = Held("bench.pair")
  // Turn by turn with Go, as the machine's speed drifts.
  var (ours, peer, many, manyPeer): ([Double], [Double], [Double], [Double]) = ([], [], [], [])
  for _ in 0..<5 {
    atDepth20 { ours.append(nanoseconds { addAndRemove(profile, 0) } / Double(pairs)) }
    many.append(withEightThreads(profile))
    let go = try goFigures()
    if go.count == 2 {
      peer.append(go[0])
      manyPeer.append(go[1])
    }
  }
  let pair = median(ours)
  results.add(
    "LeakProfile: add and remove, depth 20", time(pair), peer.isEmpty ? "" : "Go \(time(median(peer)))",
    peer.isEmpty ? "" : times(median(peer) / pair), bar: "< 2 µs, > 1 ×",
    holds: pair < 2000 && (peer.isEmpty || pair < median(peer)))
  results.add(
    "LeakProfile: the same, 8 threads", time(median(many)), manyPeer.isEmpty ? "" : "Go \(time(median(manyPeer)))",
    times(median(many) / pair), bar: "≤ 4 × one", holds: median(many) <= 4 * pair)
  profile.record(every: 0)
  let off = (0..<5).map { _ in
    nanoseconds { for number in 0..<Int32(10_000_000) { profile.add(descriptor: number) } } / 1e7
  }
  results.add(
    "LeakProfile: off", String(format: "%.2f ns", median(off)), "", "", bar: "< 2 ns", holds: median(off) < 2)
  try table(&results)
}

/// Values of 64 stacks, as a server with many call sites has.
private func table(_ results: inout Results) throws {
  let profile = Held("bench.table")
  let count = 100_000
  let before = try megabytes("VmRSS", of: getpid())
  for number in 0..<Int32(count) {
    _ = deep(Int(number % 64 / 4)) {
      switch number % 4 {
      case 0: profile.add(descriptor: number)
      case 1: profile.add(descriptor: number)
      case 2: profile.add(descriptor: number)
      default: profile.add(descriptor: number)
      }
    }
  }
  let each = (try megabytes("VmRSS", of: getpid()) - before) * 1e6 / Double(count)
  results.add(
    "LeakProfile: memory of each of 100,000 values", String(format: "%.1f bytes", each), "", "", bar: "< 64 bytes",
    holds: each < 64)
  guard let number = Held.descriptor else { throw BenchError("there is no table") }
  let takes = try (0..<21).map { _ in
    try nanoseconds {
      let snapshot = try SharedTable(pid: getpid(), descriptor: number).snapshot()
      if snapshot.profiles.last?.entries != count { throw BenchError("not all are seen") }
    }
  }
  results.add(
    "a table of 100,000 values: snapshot", time(median(takes)), "", "", bar: "< 20 ms", holds: median(takes) < 20e6)
  guard let binary = ProcessInfo.processInfo.environment["FDWATCH"] else { throw BenchError("run it by run.sh") }
  // A helper that is kept for the process: it is started for the first of these.
  let parser = Parser { .program(binary) }
  let procfs = try Procfs()
  let process = ProcessKey(pid: getpid(), startTime: try ProcessDirectory(pid: getpid(), in: procfs).startTime)
  let wholes = try (0..<21).map { _ in
    let keeper = TableKeeper(process, owner: ProcessOwner(user: getuid(), unit: nil), parser: parser)
    var poll = Poll(time: .zero, count: 1)
    poll.opened = [.init(number: number, target: SharedTable.target, inode: 0, flags: 0, position: 0)]
    keeper.note(poll) { getpid() }
    return try nanoseconds {
      var stacks = 0
      while stacks == 0 {
        for (snapshot, _) in keeper.tick(at: .zero, isSuspicious: false).snapshots { stacks += snapshot.total }
      }
      if stacks != count { throw BenchError("not all are counted") }
    }
  }
  results.add(
    "a table of 100,000 values: as a watch reads it", time(median(wholes)), "", "", bar: "< 20 ms",
    holds: median(wholes) < 20e6)
}
