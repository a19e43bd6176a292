// SPDX-License-Identifier: Apache-2.0
// What a service says to its manager: a socket of the test's own stands for the manager's.

import Glibc
import Linux
import Systemd
import TestSupport
import Testing

private var monotonicMicroseconds: Int64 {
  var time = timespec()
  unsafe clock_gettime(CLOCK_MONOTONIC, &time)
  return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
}

@Suite struct `A service` {
  private func run(_ words: [String], environment: [String: String]) throws -> (answer: String, messages: [String]) {
    let directory = try TemporaryDirectory()
    let manager = try Receiver(path: directory.path + "/notify")
    let child = try ChildProcess(
      [Products.executable("bustool"), "notify"] + words,
      environment: environment.merging(["NOTIFY_SOCKET": manager.path]) { $1 })
    child.closeInput()
    return (try child.finish().output, manager.messages)
  }

  @Test(
    arguments: [
      (["ready", "watching 3 units"], "READY=1\nSTATUS=watching 3 units"),
      (["status", "two\nlines=1"], "STATUS=two lines=1"), (["stopping"], "STOPPING=1"), (["watchdog"], "WATCHDOG=1"),
    ])
  func `tells its manager`(words: [String], message: String) throws {
    #expect(try run(words, environment: [:]).messages == [message])
  }

  @Test func `says with the manager's clock that it reloads`() throws {
    let before = monotonicMicroseconds
    let message = try #require(try run(["reloading"], environment: [:]).messages.first)
    let parts = message.split(separator: "\n").map(String.init)
    #expect(parts.count == 2 && parts.first == "RELOADING=1")
    let last = try #require(parts.last)
    let stamp = try #require(Int64(last.dropFirst("MONOTONIC_USEC=".count)))
    // Both are CLOCK_MONOTONIC.
    #expect(stamp >= before && stamp <= monotonicMicroseconds)
  }

  @Test func `knows how often its manager wants to hear of it`() throws {
    #expect(try run([], environment: ["WATCHDOG_USEC": "3000000"]).answer == "wanted true, watchdog 3.0 seconds\n")
    #expect(try run([], environment: [:]).answer == "wanted true, watchdog none\n")
  }

  @Test(arguments: [["watchdog"], ["status", "on"]])
  func `goes on where its manager hangs`(words: [String]) throws {
    let directory = try TemporaryDirectory()
    let manager = try Receiver(path: directory.path + "/notify")
    #expect(throws: JournalError.busy(socket: manager.path)) {
      while true { try Journal.send([("FILLS", "it")], to: manager.path) }
    }
    let child = try ChildProcess(
      [Products.executable("bustool"), "notify"] + words, environment: ["NOTIFY_SOCKET": manager.path])
    child.closeInput()
    // It would never end.
    #expect(try child.finish().status == .exited(0))
  }

  @Test func `says nothing where nobody asked`() throws {
    let child = try ChildProcess([Products.executable("bustool"), "notify", "ready", "on"])
    child.closeInput()
    let outcome = try child.finish()
    #expect(outcome.status == .exited(0) && outcome.output == "wanted false, watchdog none\n")
  }

  @Test func `takes over the sockets that it was given once`() throws {
    let script = """
      LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=fdwatch.socket:other exec "$0" listen 3</dev/null 4</dev/null
      """
    let child = try ChildProcess(["sh", "-c", script, Products.executable("bustool")])
    child.closeInput()
    #expect(try child.finish().output == "fdwatch.socket=3 listens false, other=4 listens false\nnone\n")
  }

  @Test func `is not given the sockets of another`() throws {
    let script = "LISTEN_PID=1 LISTEN_FDS=1 exec \"$0\" listen 3</dev/null"
    let child = try ChildProcess(["sh", "-c", script, Products.executable("bustool")])
    child.closeInput()
    #expect(try child.finish().output == "none\nnone\n")
  }

  @Test func `tells a socket that listens from one that does not`() throws {
    let listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    defer { close(listener) }
    #expect(!ListenSockets.listens(listener))
    #expect(listen(listener, 1) == 0 && ListenSockets.listens(listener))
  }
}
