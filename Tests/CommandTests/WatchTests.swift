// SPDX-License-Identifier: Apache-2.0
// fdwatch PID, to a pipe: lines, ends, exit codes.

import Glibc
import TestSupport
import Testing

@Suite struct `A watch to a pipe` {
  @Test func `of a quiet process ends when its time is over`() throws {
    let child = try FDFactory()
    try child.open("file", 3)
    let outcome = try BuiltBinary.run(["--interval", "100ms", "--for", "2s", "\(child.pid)"])
    #expect(outcome.status == .exited(0) && outcome.errors.isEmpty)
    let lines = outcome.output.split(separator: "\n")
    #expect(lines.first?.contains("fdfactory[\(child.pid)]  6 of ") == true)
    #expect(lines.last?.hasPrefix("fdfactory[\(child.pid)]: watched for 2 s, 6 open at the start, 6 of ") == true)
    #expect(lines.last?.hasSuffix("No leak seen.") == true)
    #expect(!outcome.outputBytes.contains(0x1b))
  }

  @Test(arguments: [SIGINT, SIGTERM]) func `ends at a signal with a summary`(signal: Int32) throws {
    let child = try FDFactory()
    let watch = try BuiltBinary.start(["\(child.pid)"])
    try watch.read { $0.contains(" open") }
    watch.send(signal)
    let outcome = try watch.finish()
    #expect(outcome.status == .exited(0))
    #expect(outcome.output.contains("fdfactory[\(child.pid)]: watched for "))
    #expect(outcome.output.hasSuffix("No leak seen.\n"))
  }

  @Test(arguments: ["text", "json"]) func `ends when the process exits`(format: String) throws {
    let child = try FDFactory()
    // An hour between two looks: it is the exit itself that ends the watch.
    let watch = try BuiltBinary.start(["--interval", "1h", "--format", format, "\(child.pid)"])
    if format == "text" { try watch.read { $0.contains(" open") } }
    try child.exit()
    let outcome = try watch.finish()
    // JSON may not have begun to watch when the process went: then there was none.
    if format == "text" || outcome.status == .exited(0) {
      #expect(outcome.status == .exited(0))
      #expect(outcome.output.contains("he process has exited"))
    } else {
      #expect(outcome.errors.contains("\(child.pid)"))
    }
  }

  @Test func `as JSON ends with what was seen of each`() throws {
    let child = try FDFactory()
    let outcome = try BuiltBinary.run(["--for", "100ms", "--interval", "50ms", "--format", "json", "\(child.pid)"])
    let last = try #require(try `One look`.objects(outcome.output).last)
    #expect(last["event"] as? String == "end" && last["pid"] as? Int == Int(child.pid))
    #expect(outcome.status == .exited(0) && outcome.errors.isEmpty)
  }

  @Test func `goes on beside one that cannot be watched, and says so in its status`() throws {
    let child = try FDFactory()
    let outcome = try BuiltBinary.run(["--for", "100ms", "--interval", "50ms", "\(child.pid)", Call.nobody])
    #expect(outcome.status == .exited(2))
    #expect(outcome.output.contains("watched for"))
  }

  @Test(arguments: [Array("a\nb\u{1b}[2J".utf8), [0x61, 0xff, 0x1b, 0x5d, 0x30], Array("\r\u{8}x".utf8)] as [[UInt8]])
  func `never prints a hostile name as it is`(name: [UInt8]) throws {
    let child = try FDFactory()
    try child.name(name)
    _ = try child.path(name)
    let pid = "\(child.pid)"
    for arguments in [
      ["--once", pid], ["--once", "--format", "json", pid], ["--for", "50ms", "--interval", "20ms", pid],
      ["--for", "50ms", "--interval", "20ms", "--format", "json", pid],
    ] {
      let outcome = try BuiltBinary.run(arguments)
      #expect(outcome.status == .exited(0))
      #expect((outcome.outputBytes + outcome.errorBytes).allSatisfy { $0 == 0x0a || $0 >= 0x20 && $0 != 0x7f })
      // And it is still UTF-8.
      #expect(Array(outcome.output.utf8) == outcome.outputBytes)
    }
    guard Machine.canRunAsNobody else { return }
    let refused = try BuiltBinary.run([pid], user: 65534)
    #expect(refused.errorBytes.allSatisfy { $0 == 0x0a || $0 >= 0x20 && $0 != 0x7f })
  }
}
