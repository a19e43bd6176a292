// SPDX-License-Identifier: Apache-2.0
// fdwatch --once: one look, in words and in JSON.

import Foundation
import TestSupport
import Testing

@Suite struct `One look` {
  /// The lines of standard output as JSON objects.
  static func objects(_ text: String) throws -> [[String: Any]] {
    try text.split(separator: "\n").map { line in
      guard let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else {
        throw TestFailure("no object: \(line)")
      }
      return object
    }
  }

  @Test func `tells who it is and how much is open`() throws {
    let child = try FDFactory()
    try child.open("eventfd", 7)
    try child.limit(soft: 100)
    let outcome = try BuiltBinary.run(["--once", "\(child.pid)"])
    #expect(outcome.status == .exited(0))
    #expect(outcome.output.hasPrefix("fdfactory[\(child.pid)]  user "))
    #expect(outcome.output.contains("10 of 100 (10 %) open\n"))
    #expect(outcome.output.contains("KIND"))
    #expect(outcome.errors.isEmpty)
  }

  @Test func `is one JSON object for each process`() throws {
    let children = [try FDFactory(), try FDFactory()]
    try children[0].open("file", 4)
    for child in children { try child.limit(soft: 200) }
    let outcome = try BuiltBinary.run(["--once", "--format", "json"] + children.map { "\($0.pid)" })
    #expect(outcome.status == .exited(0) && outcome.errors.isEmpty)
    let objects = try Self.objects(outcome.output)
    #expect(objects.map { $0["event"] as? String } == ["look", "look"])
    #expect(objects.map { $0["pid"] as? Int } == children.map { Int($0.pid) })
    #expect(objects.map { $0["comm"] as? String } == ["fdfactory", "fdfactory"])
    #expect(objects.map { $0["count"] as? Int } == [7, 3])
    #expect(objects.map { $0["soft_limit"] as? Int } == [200, 200])
  }

  @Test func `finds processes by name`() throws {
    let child = try FDFactory()
    let name = "named \(child.pid)"
    try child.name(Array(name.utf8))
    let outcome = try BuiltBinary.run(["--once", "--format", "json", "--comm", name])
    #expect(try Self.objects(outcome.output).map { $0["pid"] as? Int } == [Int(child.pid)])
    #expect(outcome.status == .exited(0))
  }

  @Test func `looks at each process once, however often it is named`() throws {
    let child = try FDFactory()
    let outcome = try BuiltBinary.run(["--once", "--format", "json", "\(child.pid)", "\(child.pid)"])
    #expect(try Self.objects(outcome.output).count == 1)
  }

  @Test func `shows what it can, and says what it cannot`() throws {
    let child = try FDFactory()
    let outcome = try BuiltBinary.run(["--once", "\(child.pid)", Call.nobody])
    #expect(outcome.status == .exited(2))
    #expect(outcome.output.contains("fdfactory[\(child.pid)]"))
    #expect(outcome.errors == "fdwatch: no process \(Call.nobody)\n")
  }

  @Test func `at a zombie says that it has exited`() throws {
    let parent = try FDFactory()
    let pid = try parent.fork()
    try parent.exitChild(pid)
    let outcome = try BuiltBinary.run(["--once", "\(pid)"])
    #expect(outcome.status == .exited(2))
    #expect(outcome.output.isEmpty)
    #expect(outcome.errors.contains("has exited"))
  }

  @Test func `at a process whose main thread has exited counts all the same`() throws {
    let child = try FDFactory()
    try child.open("eventfd", 4)
    try child.exitMainThread()
    let outcome = try BuiltBinary.run(["--once", "--format", "json", "\(child.pid)"])
    #expect(try Self.objects(outcome.output).map { $0["count"] as? Int } == [7])
  }
}
