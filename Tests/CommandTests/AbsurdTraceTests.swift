// SPDX-License-Identifier: Apache-2.0
// Recordings of a machine that cannot be: whatever their numbers, a replay ends with a verdict or an error.

import TestSupport
import Testing

/// A process that opens an eventfd a second, and says so; one thing about it is absurd.
struct AbsurdTrace: CustomTestStringConvertible, Sendable {
  var testDescription: String
  var isRefused = false
  /// Members of the header, and of each poll, that take the place of the ordinary ones.
  var header: [String: String] = [:]
  var poll: [String: String] = [:]
  var time: @Sendable (Int) -> String = { "\($0)" }

  var text: String {
    let head = [
      "format": "\"fdwatch-trace\"", "version": "1", "comm": "\"a\"", "pid": "7", "interval": "1",
      "start": "\"2026-11-25T00:00:00Z\"", "soft_limit": "1024", "hard_limit": "4096",
    ]
    func line(_ members: [String: String]) -> String {
      "{" + members.sorted { $0.key < $1.key }.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}\n"
    }
    return line(head.merging(header) { $1 })
      + (0..<200).map { second in
        line(
          [
            "t": time(second), "count": "\(second + 4)", "stacks": "[[[\"open_it a.c:1\"],\(second + 1)]]",
            "opened": "[[\(second + 3),\"anon_inode:[eventfd]\",\(second + 9),\"02\",0]]",
          ].merging(poll) { $1 })
      }.joined()
  }

  static let most = "9223372036854775807"

  static let all: [AbsurdTrace] = [
    .init(testDescription: "as many descriptors as fit", isRefused: true, poll: ["count": most]),
    .init(testDescription: "more of them than fit", isRefused: true, poll: ["count": "9223372036854775808"]),
    .init(testDescription: "one too many", isRefused: true, poll: ["count": "2147483648"]),
    .init(testDescription: "as many as a process can have", poll: ["count": "2147483647"]),
    .init(testDescription: "none", poll: ["count": "0"]),
    .init(testDescription: "stacks that hold all", poll: ["stacks": "[[[\"a\"],\(most)],[[\"b\"],\(most)]]"]),
    .init(testDescription: "stacks that hold less than none", poll: ["stacks": "[[[\"a\"],-\(most)],[[\"b\"],-1]]"]),
    .init(testDescription: "a profile of the beginning of time", poll: ["age": "99999999999"]),
    .init(testDescription: "a profile of tomorrow", isRefused: true, poll: ["age": "-1"]),
    .init(testDescription: "no limit", header: ["soft_limit": "18446744073709551615", "hard_limit": "0"]),
    .init(testDescription: "a limit of none", header: ["soft_limit": "0", "hard_limit": "0"]),
    .init(testDescription: "limits in each poll", poll: ["soft_limit": "1", "hard_limit": "18446744073709551615"]),
    .init(testDescription: "offsets at both ends", poll: ["moved": "[[3,\(most)],[4,-9223372036854775808]]"]),
    .init(
      testDescription: "inodes and queues of all bits",
      poll: ["tcp": "[[18446744073709551615,\"CLOSE_WAIT\",\"\"]]", "unread": "[[9,18446744073709551615]]"]),
    .init(testDescription: "numbers of all sizes", poll: ["closed": "[2147483647,-2147483648,0]"]),
    .init(
      testDescription: "the same number, twice",
      poll: [
        "opened": "[[3,\"anon_inode:[eventfd]\",1,\"02\",0],[3,\"/x\",2,\"02\",0]]", "closed": "[3,3]",
      ]),
    .init(testDescription: "one moment", time: { _ in "5" }),
    .init(testDescription: "hardly more than one moment", time: { "0.00\($0 / 100)" }),
    .init(testDescription: "centuries between polls", time: { "\($0 * 400_000_000)" }),
    .init(testDescription: "a late end", time: { $0 < 199 ? "\($0)" : "99999999999" }),
    .init(testDescription: "a start long after the start", time: { "\(99_999_999_000 + $0)" }),
    .init(testDescription: "an end after all time", isRefused: true, time: { $0 < 199 ? "\($0)" : "1e300" }),
    .init(testDescription: "time that runs backwards", isRefused: true, time: { "\(500 - $0)" }),
    .init(testDescription: "time before time", isRefused: true, time: { "-\($0 + 1)" }),
    .init(testDescription: "an interval without end", header: ["interval": "1e308"]),
    .init(testDescription: "an interval of less than none", header: ["interval": "-1e308"]),
    .init(testDescription: "a start in no calendar", header: ["start": "\"99999-99-99T99:99:99Z\""]),
    .init(testDescription: "a process of no number", isRefused: true, header: ["pid": most]),
    .init(testDescription: "lists in lists", isRefused: true, poll: ["new": String(repeating: "[", count: 1000)]),
  ]
}

@Suite struct `A recording of absurd numbers` {
  @Test(arguments: AbsurdTrace.all) func `ends in a verdict or an error`(
    trace: AbsurdTrace
  ) throws {
    let file = TemporaryFile(trace.text)
    for options in [[], ["--explain"], ["--format", "json"]] {
      let outcome = try BuiltBinary.run(["replay"] + options + [file.path])
      #expect(outcome.status == .exited(trace.isRefused ? 2 : 0), "\(outcome.errors.prefix(500))")
      #expect(outcome.errors.isEmpty != trace.isRefused)
    }
  }
}
