// SPDX-License-Identifier: Apache-2.0
// Units over the bus of a real systemd, PID 1 of a container by Tests/bed/systemd-container.sh.

import Foundation
import Synchronization
import Systemd
import TestSupport
import Testing

/// A container for one test.
private final class Manager {
  private static let script = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../bed/systemd-container.sh").standardized.path
  private static let count = Mutex(0)
  private let name = count.withLock {
    $0 += 1
    return "bus-\(getpid())-\($0)"
  }

  static let obstacle: String? = {
    guard FileManager.default.fileExists(atPath: script) else { return "there is no \(script)" }
    do {
      let check = try run(["check"])
      return check.status == .exited(0) ? nil : check.errors
    } catch {
      return "\(error)"
    }
  }()

  init() throws {
    let up = try Self.run(["up", name, "--while=\(getpid())"])
    guard up.status == .exited(0) else { throw TestFailure("no container: \(up.errors)") }
    // What was built may lie anywhere; the Swift runtime is where the toolchain is, as on this machine.
    let copied = try Self.run(["copy-in", name, Products.executable("bustool"), "/usr/bin/bustool"])
    guard copied.status == .exited(0) else { throw TestFailure("copy-in: \(copied.errors)") }
  }

  deinit { _ = try? Self.run(["down", name]) }

  private static func run(_ words: [String]) throws -> ChildProcess.Outcome {
    let child = try ChildProcess(["bash", script] + words)
    child.closeInput()
    return try child.finish()
  }

  @discardableResult func exec(_ words: String...) throws -> ChildProcess.Outcome {
    try Self.run(["exec", name, "--"] + words)
  }

  /// What bustool prints; empty when all went well and there is nothing to say.
  func ask(_ words: [String]) throws -> String {
    let outcome = try Self.run(["exec", name, "--", "bustool"] + words)
    return (outcome.output + outcome.errors).trimmingCharacters(in: .newlines)
  }

  /// Starts a unit, waits for its end, and tells it.
  func outcome(of name: String, _ words: [String]) throws -> String {
    let answer = try ask(["start", name] + words)
    return answer.isEmpty ? try ask(["wait", name]) : answer
  }
}

private let needsManager = Comment(rawValue: "needs a systemd of its own: \(Manager.obstacle ?? "")")

@Suite(.enabled(if: Manager.obstacle == nil, needsManager)) struct `A command as a unit of its own` {
  @Test func `ends as its unit says`() throws {
    let manager = try Manager()
    func shell(_ script: String) -> [String] { ["--", "/bin/sh", "-c", script] }
    #expect(try manager.outcome(of: "a.service", shell("exit 0")) == "exited(0)")
    #expect(try manager.outcome(of: "b.service", ["--user=nobody"] + shell("exit 75")) == "exited(75)")
    #expect(try manager.outcome(of: "c.service", shell("kill -9 $$")) == "killed(signal: 9)")
    #expect(try manager.outcome(of: "d.service", ["--timeout=200"] + shell("sleep 1000")) == "timedOut")
    // EXIT_EXEC and EXIT_USER of systemd.exec(5).
    #expect(
      try manager.outcome(of: "e.service", ["--", "/no/such/program"])
        == "notStarted(Systemd.UnitState.StartFailure.noCommand)")
    #expect(
      try manager.outcome(of: "f.service", ["--user=nosuchuser", "--", "/bin/true"])
        == "notStarted(Systemd.UnitState.StartFailure.noUser)")
    // The same numbers of a command's own are its own. One that ends before the manager has seen it start could be either.
    let started = "until systemctl is-active --quiet g.service; do :; done; exit 203"
    #expect(try manager.outcome(of: "g.service", shell(started)) == "exited(203)")

    // Taken names, and names that cannot be.
    #expect(
      try manager.ask(["start", "a.service", "--", "/bin/true"]).contains("(org.freedesktop.systemd1.UnitExists)"))
    #expect(try manager.ask(["start", "a/b.service", "--", "/bin/true"]).contains("Invalid unit name"))
    #expect(
      try manager.ask(["start-unit", "none.service"]).hasPrefix("StartUnit(none.service): Unit none.service not"))

    // All are remembered until they are collected.
    #expect(
      try manager.ask(["units", "?.service"]) == "a.service b.service c.service d.service e.service f.service g.service"
    )
    for name in ["a", "b", "c", "d", "e", "f", "g", "none"] {
      #expect(try manager.ask(["collect", "\(name).service"]) == "")
    }
    #expect(try manager.ask(["wait", "a.service"]) == "gone" && manager.ask(["wait", "b.service"]) == "gone")
  }

  @Test func `gets its input, arguments and environment as they are`() throws {
    let manager = try Manager()
    // What a shell or systemd itself might take for its own: variables, specifiers, quotes, lines.
    let hostile = "$HOME ${PATH} %n %% \"q\" 'q' \\ ; $(touch /run/hacked)\nline"
    // All by one process: journald breaks a line where another goes on. The point shows that no line end was added.
    let script = "printf '<%s>' \"$(cat; echo .)\" \"$1\" \"$FDWATCH_MESSAGE\"; echo"
    let answer = try manager.outcome(
      of: "words.service",
      ["--input={\"a\":\"\u{7f}é\"}", "--set=FDWATCH_MESSAGE=\(hostile)", "--", "/bin/sh", "-c", script, "sh", hostile])
    #expect(answer == "exited(0)")
    try manager.exec("journalctl", "--sync")
    let log = try manager.exec("journalctl", "-o", "cat", "-t", "bustool").output
    #expect(log == "<{\"a\":\"\u{7f}é\"}.><\(hostile)><\(hostile)>\n")
    #expect(try manager.exec("test", "-e", "/run/hacked").status == .exited(1))
  }

  @Test func `leaves nothing running once it is collected`() throws {
    let manager = try Manager()
    let forks = "sleep 1007 & setsid sleep 1007 & exit 0"
    #expect(try manager.outcome(of: "fork.service", ["--", "/bin/sh", "-c", forks]) == "exited(0)")
    #expect(try manager.exec("pgrep", "-xc", "sleep").output == "2\n")
    #expect(try manager.ask(["collect", "fork.service"]) == "")
    #expect(try manager.ask(["wait", "fork.service"]) == "gone")
    #expect(try manager.exec("pgrep", "-xc", "sleep").output == "0\n")
  }

  @Test func `can be started by a service whose capabilities are few`() throws {
    let manager = try Manager()
    let answer = try manager.exec(
      "systemd-run", "--quiet", "--wait", "--pipe", "-p", "CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH",
      "-p", "NoNewPrivileges=yes", "-p", "ProtectSystem=strict", "-p", "RestrictAddressFamilies=AF_UNIX",
      "-p", "SystemCallFilter=@system-service", "bustool", "start", "capped.service", "--", "/bin/true")
    #expect(answer.status == .exited(0) && answer.output.isEmpty)
    #expect(try manager.ask(["wait", "capped.service"]) == "exited(0)")
  }
}
