// SPDX-License-Identifier: Apache-2.0
// fdwatch openers PID, as a user runs it.

import Foundation
import Openers
import Procfs
import TestSupport
import Testing

private enum Tracing {
  /// Why nothing can be traced here; `nil` where it can.
  static let obstacle: String? = {
    do {
      let procfs = try Procfs()
      let directory = try ProcessDirectory(pid: getpid(), in: procfs)
      _ = try OpenerTrace(directory)
      return nil
    } catch { return "\(error)" }
  }()
}

@Suite(.enabled(if: Tracing.obstacle == nil, "NOT TESTED, as nothing can be traced here: \(Tracing.obstacle ?? "")"))
struct `fdwatch openers` {
  /// Traces for two seconds, in which 12 are opened at the beginning.
  private func output(_ options: String...) throws -> (text: String, bytes: [UInt8], numbers: [Int32]) {
    let child = try FDFactory()
    let traced = try BuiltBinary.start(["openers", "\(child.pid)", "--for", "2s"] + options)
    traced.closeInput()
    // It says on standard error when it sees the process.
    try traced.readErrors { $0.contains("fdwatch: tracing fdfactory (\(child.pid)) for 2s") }
    let numbers = try child.open("eventfd", 12)
    let outcome = try traced.finish()
    #expect(outcome.status == .exited(0), "\(outcome.errors)")
    return (outcome.output, outcome.outputBytes, numbers)
  }

  @Test func `prints the stacks that opened what stays open, as a table`() throws {
    let table = try output().text
    #expect(table.contains("fdfactory (") && table.contains("12 still open"), "\(table)")
    #expect(table.contains("    12  eventfd2, such as ") && table.contains("anon_inode:[eventfd]"), "\(table)")
    #expect(table.contains("were opened before tracing began."))
    #expect(table.contains("        main\n") || table.contains("        _start"), "\(table)")
  }

  @Test func `prints JSON, with the number of each descriptor`() throws {
    let (text, _, numbers) = try output("--format", "json")
    let report = try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    let stacks = try #require(report["stacks"] as? [[String: Any]])
    #expect(report["open"] as? Int == 12 && report["opened_unseen"] as? Int == 0, "\(text)")
    #expect(stacks.flatMap { $0["descriptors"] as? [Int] ?? [] }.sorted() == numbers.map(Int.init).sorted())
    #expect(
      stacks.allSatisfy { $0["call"] as? String == "eventfd2" && $0["target"] as? String == "anon_inode:[eventfd]" })
    #expect(stacks.allSatisfy { ($0["frames"] as? [String] ?? []).count > 2 })
  }

  @Test func `prints collapsed stacks, of what is open still only`() throws {
    let lines = try output("--format", "collapsed").text.split(separator: "\n")
    let counts = lines.compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
    #expect(counts.reduce(0, +) == 12, "\(lines)")
    #expect(lines.allSatisfy { $0.contains(";") && $0.contains("eventfd") && !$0.hasPrefix("eventfd") }, "\(lines)")
  }

  @Test func `prints a profile that Go's tools read, with the label fd`() throws {
    let (_, bytes, numbers) = try output("--format", "pprof")
    let file = TemporaryFile(Data(bytes))
    let raw = try ChildProcess.run(["go", "tool", "pprof", "-raw", file.path])
    #expect(raw.output.contains("descriptors/count"), "\(raw.errors)")
    for number in numbers { #expect(raw.output.contains("fd:[\(number)]")) }
  }

  @Test func `gives a watch the stack that leaks, of a process that exports nothing`() throws {
    let child = try FDFactory()
    try child.startLeak(of: "eventfd", every: .milliseconds(50), count: 2000)
    let outcome = try BuiltBinary.run([
      "\(child.pid)", "--openers=now", "--until-leak", "--interval", "250ms", "--format", "json", "--for", "90s",
    ])
    #expect(outcome.status == .exited(1), "\(outcome.errors)")
    let alert = try #require(outcome.output.split(separator: "\n").last { $0.contains("\"event\":\"alert\"") })
    let fields = try #require(JSONSerialization.jsonObject(with: Data(alert.utf8)) as? [String: Any])
    #expect(fields["profile"] as? String == "openers", "\(alert)")
    let stack = try #require(fields["stack"] as? [String], "\(alert)")
    #expect(stack.first?.contains("eventfd") == true, "\(stack)")
  }

  @Test func `says that there is no such process`() throws {
    let outcome = try BuiltBinary.run(["openers", "2147483647"])
    #expect(outcome.status == .exited(2) && outcome.output.isEmpty)
    #expect(outcome.errors.contains("process 2147483647: "))
  }

  @Test func `says that the process has exited meanwhile`() throws {
    let child = try FDFactory()
    let traced = try BuiltBinary.start(["openers", "\(child.pid)", "--for", "60s"])
    try traced.readErrors { $0.contains("fdwatch: tracing") }
    try child.exit()
    let outcome = try traced.finish()
    #expect(outcome.status == .exited(2) && outcome.output.isEmpty)
    #expect(outcome.errors.contains("process \(child.pid): "), "\(outcome.errors)")
  }
}

@Suite struct `fdwatch openers without what it takes` {
  @Test(.enabled(if: Machine.canRunAsNobody, "takes root, setpriv(1), and a build that others may read"))
  func `names the capabilities that are missing`() throws {
    let child = try FDFactory()
    let outcome = try BuiltBinary.run(["openers", "\(child.pid)", "--for", "1s"], user: 65534)
    #expect(outcome.status == .exited(2) && outcome.output.isEmpty)
    #expect(
      outcome.errors
        == "fdwatch: process \(child.pid): tracing needs CAP_BPF and CAP_PERFMON and CAP_SYS_PTRACE: run as root\n")
  }

  @Test(arguments: [["0"], ["1", "--for", "2h"], ["1", "--format", "svg"], ["1", "--top", "0"], []])
  func `refuses wrong usage`(arguments: [String]) throws {
    #expect(try BuiltBinary.run(["openers"] + arguments).status == .exited(64))
  }
}
