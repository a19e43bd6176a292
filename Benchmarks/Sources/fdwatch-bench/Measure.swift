// SPDX-License-Identifier: Apache-2.0
// Timing side by side, and a table of what came out.

import Foundation

/// Nanoseconds that a call takes.
func nanoseconds(_ body: () throws -> Void) rethrows -> Double {
  let clock = ContinuousClock()
  let start = clock.now
  try body()
  return (clock.now - start) / .nanoseconds(1)
}

func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  return sorted.isEmpty ? .nan : sorted[sorted.count / 2]
}

/// Medians of two candidates, in nanoseconds, and of their ratios.
struct Comparison {
  var a: Double
  var b: Double
  var ratio: Double

  /// Of one repetition, where each round was so many.
  static func / (all: Comparison, repeats: Double) -> Comparison {
    Comparison(a: all.a / repeats, b: all.b / repeats, ratio: all.ratio)
  }
}

/// Runs two candidates in turn, A B A B …, and takes the ratios pair by pair: the machine's speed drifts, and drifts for
/// both.
func compare(rounds: Int, _ a: () throws -> Void, _ b: () throws -> Void) rethrows -> Comparison {
  try a()
  try b()
  var times: [(a: Double, b: Double)] = []
  for _ in 0..<rounds { times.append((try nanoseconds(a), try nanoseconds(b))) }
  return Comparison(
    a: median(times.map(\.a)), b: median(times.map(\.b)), ratio: median(times.map { $0.a / $0.b }))
}

/// CPU time of this process, user and system, in seconds.
func cpuSeconds() -> Double {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
  return seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// One of the figures of `/proc/<pid>/status` that are in kB, in MB.
func megabytes(_ name: String, of pid: Int32) throws -> Double {
  let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
  let line = status.split(separator: "\n").first { $0.hasPrefix(name + ":") }
  guard let word = line?.split(whereSeparator: \.isWhitespace).dropFirst().first, let kilobytes = Double(word) else {
    throw BenchError("no \(name)")
  }
  return kilobytes * 1024 / 1e6
}

/// The rows of the results, printed as a table in Markdown.
struct Results {
  private var rows: [[String]] = []

  mutating func add(_ what: String, _ ours: String, _ peer: String, _ ratio: String, bar: String, holds: Bool?) {
    let verdict = holds.map { $0 ? "yes" : "**no**" } ?? ""
    rows.append([what, ours, peer, ratio, bar, verdict])
    FileHandle.standardError.write(Data("\(what): \(ours)  \(peer)  \(ratio)  \(bar) \(verdict)\n".utf8))
  }

  var table: String {
    let head = ["what", "fdwatch", "peer", "ratio", "bar", "holds"]
    let all = [head] + rows
    let widths = head.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    func line(_ cells: [String]) -> String {
      "| " + zip(cells, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: " | ")
        + " |"
    }
    let rule = "| " + widths.map { String(repeating: "-", count: $0) }.joined(separator: " | ") + " |"
    return ([line(head), rule] + rows.map(line)).joined(separator: "\n")
  }
}

/// `2.4 µs`, `18 ms`.
func time(_ nanoseconds: Double) -> String {
  switch nanoseconds {
  case ..<1e3: String(format: "%.0f ns", nanoseconds)
  case ..<1e6: String(format: "%.1f µs", nanoseconds / 1e3)
  case ..<1e9: String(format: "%.1f ms", nanoseconds / 1e6)
  default: String(format: "%.2f s", nanoseconds / 1e9)
  }
}

func times(_ ratio: Double) -> String { String(format: "%.2f ×", ratio) }
