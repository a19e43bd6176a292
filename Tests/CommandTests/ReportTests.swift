// SPDX-License-Identifier: Apache-2.0
// fdwatch report, as a script uses it.

import TestSupport
import Testing

@Suite struct `A report` {
  @Test func `is sent as it is`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/report.sock"
    let socket = try DatagramSocket(path: path)
    let outcome = try BuiltBinary.run(
      ["report", "job 7: lock file left"], environment: ["FDWATCH_REPORT_SOCKET": path])
    #expect(outcome.status == .exited(0) && outcome.output.isEmpty && outcome.errors.isEmpty)
    #expect(try socket.receive() == "job 7: lock file left")
  }

  @Test func `without a daemon is refused with a reason`() throws {
    let outcome = try BuiltBinary.run(
      ["report", "x"], environment: ["FDWATCH_REPORT_SOCKET": "/nonexistent/report.sock"])
    #expect(outcome.status == .exited(2))
    #expect(outcome.errors == "fdwatch: not reported: No such file or directory. Is the daemon running?\n")
    #expect(try BuiltBinary.run(["report", ""]).status == .exited(64))
  }
}
