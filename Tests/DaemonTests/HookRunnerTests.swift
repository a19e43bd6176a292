// SPDX-License-Identifier: Apache-2.0
// Hooks as child processes, whatever they do.

import Alerts
import Config
import Foundation
import Linux
import TestSupport
import Testing

@testable import Daemon

@Suite struct `A run of a hook` {
  private let directory: TemporaryDirectory
  private let runner: HookRunner

  init() throws {
    directory = try TemporaryDirectory()
    runner = try HookRunner(usesSystemd: false, firstPause: .milliseconds(100), mostAttempts: 6)
  }

  private func run(_ script: String, name: String = "hook", _ change: (inout HookSettings) -> Void = { _ in }) {
    var hook = HookSettings(name: name, action: .shell(script))
    change(&hook)
    let alert = Alert(id: "cafe", type: .report, firstSeen: 0, unit: "a.service", text: "some\u{0}\ntext", members: [])
    runner.run(HookJob(hook, AlertEvent(.alert, alert), json: "{\"schema\":1}"))
  }

  /// Waits until all have run, and returns what is to be told of them.
  /// - Parameter enough: how many runs must have come out: one that is to be tried again in a while is not waited for.
  private func finish(_ enough: Int = 1) throws -> [HookRunner.Note] {
    let deadline = Instant.now + .seconds(120)
    while !runner.isIdle || runner.tallies["hook", default: .init()].results.values.reduce(0, +) < enough {
      try #require(Instant.now < deadline, "hooks do not end: \(runner.tallies)")
      _ = Machine.canRun("true")
    }
    return runner.takeNotes()
  }

  private func text(_ name: String) -> String {
    (try? String(contentsOfFile: directory.path + "/" + name, encoding: .utf8)) ?? ""
  }

  @Test func `gets words, variables and an object, and nothing else`() throws {
    run("echo \"$0 $*\"; env | sort; cat; ls /proc/self/fd | wc -l; pwd")
    let said = try finish().map(\.text)
    #expect(said.first == "hook alert cafe")
    #expect(said.contains("FDWATCH_EVENT=alert") && said.contains("FDWATCH_ALERT_ID=cafe"))
    #expect(said.contains("FDWATCH_UNIT=a.service") && said.contains("FDWATCH_PRIORITY=5"))
    #expect(said.contains("FDWATCH_TYPE=report") && said.contains { $0.hasPrefix("FDWATCH_MESSAGE=") })
    #expect(said.contains("{\"schema\":1}"))
    // Standard streams, and the folder that ls has open.
    #expect(said.suffix(2) == ["4", "/"])
    #expect(!said.contains { $0.hasPrefix("HOME=") || $0.hasPrefix("USER=") })
    #expect(runner.tallies["hook"]?.results == ["delivered": 1])
  }

  @Test func `is tried again when it asks for it`() throws {
    run("echo x >> \(directory.path)/tries; [ $(wc -l < \(directory.path)/tries) -ge 3 ] || exit 75")
    #expect(try finish(3).isEmpty)
    #expect(runner.tallies["hook"]?.results == ["tryagain": 2, "delivered": 1])
  }

  @Test func `that is to be tried again comes before what was said of its alert since`() throws {
    run(
      "echo x >> \(directory.path)/tries; [ $(wc -l < \(directory.path)/tries) -ge 2 ] || exit 75; echo begins"
    ) { $0.concurrency = 3 }
    run("echo ends") { $0.concurrency = 3 }
    #expect(try finish(3).map(\.text) == ["begins", "ends"])
  }

  @Test func `is given up in the end`() throws {
    run("exit 75")
    let notes = try finish(6)
    #expect(notes.map(\.text) == ["alert cafe: it was not delivered in 6 tries"] && notes[0].isFailure)
    #expect(runner.tallies["hook"]?.results == ["tryagain": 5, "failed": 1])
  }

  @Test(
    arguments: [
      ("exit 3", "it ended with 3"), ("kill -SEGV $$", "it was ended by signal 11"), ("exit 203", "it ended with 203"),
    ])
  func `that fails is told with why`(script: String, why: String) throws {
    run(script)
    let notes = try finish()
    #expect(notes.map(\.text) == ["alert cafe: \(why)"] && notes[0].isFailure)
  }

  @Test func `that goes on failing is told of once, until it works again`() throws {
    let flag = "\(directory.path)/works"
    for _ in 0..<3 { run("[ -e \(flag) ] || exit 4") }
    #expect(try finish(3).map(\.text) == ["alert cafe: it ended with 4"])
    try "".write(toFile: flag, atomically: true, encoding: .utf8)
    for _ in 0..<2 { run("[ -e \(flag) ] || exit 4") }
    #expect(try finish(5).map(\.text) == ["alert cafe was delivered: it works again"])
    run("exit 4")
    #expect(try finish(6).map(\.text) == ["alert cafe: it ended with 4"])
  }

  @Test func `that cannot be started is told with why`() throws {
    run("") { $0.action = .command(["/no/such/program"]) }
    run("") { $0.action = .unit("x@.service") }
    run("") { $0.user = "no-such-user" }
    let notes = try finish().map(\.text)
    #expect(
      notes == [
        "alert cafe: command not found: /no/such/program",
        "alert cafe: no systemd runs here that could start x@.service", "alert cafe: no such user: no-such-user",
      ])
  }

  @Test func `that hangs is ended, with its children, and delays no other`() throws {
    run("trap '' TERM; sleep 1000 & echo $! > \(directory.path)/pid; wait; wait") { $0.timeout = .seconds(3) }
    run("echo quick", name: "quick")
    let deadline = Instant.now + .seconds(120)
    while runner.tallies["quick"] == nil, Instant.now < deadline { _ = Machine.canRun("true") }
    #expect(runner.tallies["hook"] == nil, "the other has come out, and this one not")
    let notes = try finish()
    #expect(notes.contains { $0.text == "alert cafe: it took longer than allowed" })
    let left = try #require(Int32(text("pid").trimmingCharacters(in: .newlines)))
    // Gone, or not collected yet by whoever inherits it.
    let state = try? String(contentsOfFile: "/proc/\(left)/stat", encoding: .utf8)
    #expect(state.map { $0.contains(") Z ") || $0.contains(") X ") } ?? true, "nobody of it is left")
  }

  @Test func `that floods is read, and what it says is cut`() throws {
    run("yes 'a line' | head -c 3000000; exit 4")
    let notes = try finish()
    #expect(notes.count == 51 && notes.last?.text == "alert cafe: it ended with 4")
  }

  /// As daemons do, in sessions of their own, by parents that have ended.
  @Test(arguments: [false, true]) func `that leaves children behind is over, and so are they`(hangs: Bool) throws {
    let (pids, child) = (directory.path + "/pids", directory.path + "/child")
    try "echo $$ >> \(pids); exec sleep 1000".write(toFile: child, atomically: true, encoding: .utf8)
    run(
      """
      setsid sh \(child) & (setsid setsid sh -c 'sh \(child) & sh \(child) & wait' &)
      until [ "$(cat \(pids) 2>/dev/null | wc -l)" = 3 ]; do :; done
      echo done
      \(hangs ? "trap '' TERM; sleep 1000" : "")
      """
    ) { if hangs { $0.timeout = .seconds(3) } }
    let notes = try finish().map(\.text)
    #expect(notes == (hangs ? ["done", "alert cafe: it took longer than allowed"] : ["done"]))
    let left = text("pids").split(separator: "\n").compactMap { Int32($0) }
    #expect(left.count == 3)
    for pid in left { #expect(kill(pid, 0) == -1, "\(pid) is left") }
  }

  /// Nothing else wakes whoever runs them: an alert in a quiet night is the last one for long.
  @Test func `is followed by those that wait for its end`() throws {
    for number in 0..<5 { run("echo \(number)") }
    #expect(try finish(5).map(\.text) == ["0", "1", "2", "3", "4"])
  }

  @Test func `waits in a bounded queue`() throws {
    let made = unsafe mkfifo(directory.path + "/gate", 0o600)
    try #require(made == 0)
    for _ in 0..<30 { run("read line < \(directory.path)/gate || :") { ($0.queue, $0.concurrency) = (5, 2) } }
    let dropped = try #require(runner.tallies["hook"]?.dropped)
    // Two may run already, and five wait.
    #expect((23...25).contains(dropped))
    let told = runner.takeNotes().map(\.text)
    #expect(told == ["1 runs dropped: its queue of 5 is full", "10 runs dropped: its queue of 5 is full"])
    // A line that a hook which has had its own leaves behind is lost: there are enough of them.
    let gate = directory.path + "/gate"
    let opener = try ChildProcess(["sh", "-c", "trap '' PIPE; while echo go > \(gate) || :; do :; done 2> /dev/null"])
    #expect(try finish().isEmpty)
    opener.send(SIGKILL)
    #expect(runner.tallies["hook"]?.results["delivered"] == 30 - dropped)
  }

  @Test(.enabled(if: Machine.isRoot, "needs root"))
  func `is another user's, with nothing of ours`() throws {
    run("id -un; id -G; grep CapEff /proc/self/status; cat") { $0.user = "nobody" }
    let said = try finish().map(\.text)
    #expect(said.first == "nobody" && !(said[1].split(separator: " ").contains("0")))
    #expect(said[2] == "CapEff:\\t0000000000000000" || said[2].hasSuffix("0000000000000000"))
    #expect(said.last == "{\"schema\":1}", "it may read what it is given")
  }
}
