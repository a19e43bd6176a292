// SPDX-License-Identifier: Apache-2.0
// A Swift program that uses LeakProfile, and what fdwatch says of it without being told anything.

import Foundation
import TestSupport
import Testing

@Suite struct `A Swift program that leaks` {
  private func alert(_ outcome: ChildProcess.Outcome) throws -> [String: Any] {
    let lines = try outcome.output.split(separator: "\n").map {
      try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    return try #require(
      lines.last {
        $0["stacks"] != nil && ($0["event"] as? String == "alert" || $0["event"] as? String == "escalated")
      },
      "\(outcome.output)")
  }

  private func check(_ alert: [String: Any], _ function: String) throws {
    let stacks = try #require(alert["stacks"] as? [[String: Any]])
    let blamed = try #require(stacks.first?["blamed"] as? String)
    #expect(blamed.hasPrefix("swiftleak.\(function)() ") && blamed.contains("Sites.swift:"), "\(blamed)")
    #expect((stacks.first?["share"] as? Double ?? 0) >= 0.9, "\(stacks)")
    #expect(alert["profile"] as? String == "file")
  }

  /// Watches a program from before it leaks.
  private func watch(
    _ program: String..., for time: String, _ more: String...
  ) throws -> (ChildProcess, ChildProcess.Outcome) {
    let folder = try TemporaryDirectory()
    let child = try ChildProcess([Products.executable("swiftleak")] + program + [folder.path])
    #expect(try child.readLine() == "ready")
    let watch = try BuiltBinary.start(
      ["\(child.pid)", "--format", "json", "--interval", "250ms", "--for", time] + more)
    try child.write("\n")
    return (child, try watch.finish())
  }

  @Test(arguments: [("a", "leakA"), ("b", "leakB"), ("c", "leakC")])
  func `is told by function, file and line, without any configuration`(site: String, function: String) throws {
    let (child, outcome) = try watch(site, "6", "240", for: "90s", "--until-leak")
    #expect(outcome.status == .exited(1), "\(outcome.output)")
    try check(try alert(outcome), function)
    child.send(SIGKILL)
  }

  @Test func `is told when it has no descriptor left`() throws {
    let (child, outcome) = try watch("b", "4", "140", for: "60s")
    try check(try alert(outcome), "leakB")
    #expect(try FileManager.default.contentsOfDirectory(atPath: "/proc/\(child.pid)/fd").count >= 140)
    child.send(SIGKILL)
  }

  @Test func `is read while it is stopped`() throws {
    let child = try ChildProcess([Products.executable("swiftleak")])
    for _ in 0..<20 {
      try child.write("a\n")
      #expect(try child.readLine() == "ok")
    }
    try child.stopAndWait()
    let saved = TemporaryFile()
    let arguments = ["\(child.pid)", "--for", "3s", "--interval", "250ms", "--format", "json"]
    _ = try BuiltBinary.run(arguments + ["--save-profile", saved.path])
    #expect(saved.bytes.starts(with: [0x1f, 0x8b]))
    child.send(SIGKILL)
  }
}
