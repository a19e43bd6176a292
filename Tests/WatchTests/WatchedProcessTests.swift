// SPDX-License-Identifier: Apache-2.0
// One watched process, polled at times that the tests choose.

import Descriptors
import Procfs
import TestSupport
import Testing
import Watch

@Suite struct `A watched process` {
  @Test func `whose main thread exits between two polls never counts as 0`() throws {
    let child = try FDFactory()
    try child.open("eventfd", 5)
    // An hour between two looks: the second poll may only count.
    let process = try WatchedProcess(
      pid: child.pid, in: try Procfs(), interval: .seconds(3600), start: 0)
    #expect(try process.poll(at: .zero)?.poll.count == 8)
    try child.exitMainThread()
    let poll = try #require(try process.poll(at: .milliseconds(10))).poll
    #expect(poll.count == 8 && poll.closed.isEmpty)
  }

  @Test func `that has exited says so at every poll`() throws {
    let parent = try FDFactory()
    let pid = try parent.fork()
    let process = try WatchedProcess(pid: pid, in: try Procfs(), interval: .seconds(3600), start: 0)
    _ = try process.poll(at: .zero)
    try parent.exitChild(pid)
    #expect(throws: ProcfsError.zombie) { try process.poll(at: .milliseconds(10)) }
    try parent.reapChild(pid)
    #expect(throws: ProcfsError.gone) { try process.poll(at: .milliseconds(20)) }
  }

  @Test func `tells a new limit though the count stays`() throws {
    let child = try FDFactory()
    try child.limit(soft: 500)
    let process = try WatchedProcess(pid: child.pid, in: try Procfs(), interval: .seconds(3600), start: 0)
    _ = try process.poll(at: .zero)
    try child.limit(soft: 200)
    let poll = try #require(try process.poll(at: .seconds(61))).poll
    #expect(!poll.isCensus && poll.limits?.soft == 200 && process.limits.soft == 200)
  }

  @Test func `is known by its new name after it has executed another program`() throws {
    let child = try ChildProcess(["sh", "-c", "echo ready; read go; exec cat"])
    #expect(try child.readLine() == "ready")
    let process = try WatchedProcess(pid: child.pid, in: try Procfs(), interval: .seconds(1), start: 0)
    _ = try process.poll(at: .zero)
    #expect(process.identity.command == "sh")
    try child.write("go\necho\n")
    #expect(try child.readLine() == "echo", "it is cat now")
    _ = try process.poll(at: .seconds(600))
    #expect(process.identity.command == "cat")
    child.closeInput()
  }
}
