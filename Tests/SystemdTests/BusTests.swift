// SPDX-License-Identifier: Apache-2.0
// The service manager, where there is none, where it is silent, and what its words mean.

import Foundation
import Glibc
import Linux
import Systemd
import TestSupport
import Testing

/// A socket that accepts connections and never answers.
private func listen(path: String) throws -> CInt {
  let listener = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
  var address = sockaddr_un()
  address.sun_family = sa_family_t(AF_UNIX)
  unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
  let bound = unsafe withUnsafePointer(to: &address) {
    unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      unsafe bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
    }
  }
  guard bound == 0, listen(listener, 100) == 0 else { throw SystemCallError("bind", errno: errno) }
  return listener
}

@Suite struct `The service manager` {
  @Test func `costs no descriptors when it cannot be reached`() async {
    // In a process of its own: the tests beside it open and close descriptors in this one.
    await #expect(processExitsWith: .success) {
      func count() throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count }
      let directory = try TemporaryDirectory()
      let path = directory.path + "/private"
      let listener = try listen(path: path)
      defer { close(listener) }
      let silent = Bus([.manager(path: path)], limit: .milliseconds(1))
      let missing = Bus([.manager(path: path + "x")])
      func fail() {
        #expect(throws: BusError.self) { try silent.startUnit("a.service") }
        #expect(throws: BusError.self) { try missing.startUnit("a.service") }
        #expect(throws: JournalError.self) { try Journal.send([("MESSAGE", "lost")], to: path + "x") }
        let message = String(repeating: "m", count: 1 << 20)
        #expect(throws: JournalError.self) { try Journal.send([("MESSAGE", message)], to: path) }
      }
      // The first round opens what the process keeps.
      fail()
      let before = try count()
      for _ in 1...50 { fail() }
      #expect(try count() == before)
    }
  }

  @Test func `that is not there is told with the place where it was looked for`() throws {
    let path = try TemporaryDirectory().path + "/private"
    let bus = Bus([.manager(path: path)])
    #expect(throws: BusError.unreachable(reason: "\(path): No such file or directory")) {
      try bus.state(of: "a.service")
    }
  }

  @Test func `that accepts and is silent holds us up no longer than the limit`() throws {
    let directory = try TemporaryDirectory()
    // Blanks and percent signs have a meaning in D-Bus addresses.
    let path = directory.path + "/a socket;100%"
    let listener = try listen(path: path)
    defer { close(listener) }
    // libsystemd by itself waits for 25 s, and systemd itself is not asked then.
    let bus = Bus([.manager(path: path), .systemBus], limit: .milliseconds(50))
    for _ in 1...2 {
      #expect(throws: BusError.timedOut(call: "connect", unit: path)) { try bus.startUnit("a.service") }
    }
  }

  private static func state(
    _ active: String, _ sub: String, _ result: String, _ code: Int32, _ status: Int32, load: String = "loaded"
  ) -> UnitState {
    UnitState(load: load, active: active, sub: sub, result: result, exitCode: code, exitStatus: status)
  }

  @Test(
    arguments: [
      // As systemd 252 told them.
      (state("active", "running", "success", 0, 0), .running),
      (state("activating", "start", "success", 0, 0), .running),
      (state("deactivating", "stop-sigterm", "timeout", 0, 0), .running),
      (state("active", "exited", "success", 1, 0), .exited(0)),
      (state("failed", "failed", "exit-code", 1, 75), .exited(75)),
      (state("failed", "failed", "signal", 2, 9), .killed(signal: 9)),
      (state("failed", "failed", "timeout", 2, 15), .timedOut),
      (state("failed", "failed", "oom-kill", 2, 9), .failed("oom-kill")),
      (state("failed", "failed", "resources", 0, 0), .failed("resources")),
      (state("inactive", "dead", "success", 0, 0), .running),
      (state("inactive", "dead", "success", 1, 0), .exited(0)),
      (state("inactive", "dead", "success", 0, 0, load: "not-found"), .gone),
    ] as [(UnitState, UnitState.Outcome)])
  func `tells how a unit has ended`(state: UnitState, outcome: UnitState.Outcome) {
    #expect(state.outcome == outcome)
  }

  @Test(
    arguments: [
      ("fdwatch-alert@.service", "812-99-3", "fdwatch-alert@812-99-3.service"),
      ("mail@.service", "a/b c@d\u{e9}", "mail@a\\x2fb\\x20c\\x40d\\xc3\\xa9.service"),
      ("plain.service", "1", "plain.service"),
    ])
  func `takes what an instance is about into a unit's name`(template: String, instance: String, name: String) {
    #expect(Unit.instance(of: template, instance) == name)
  }
}
