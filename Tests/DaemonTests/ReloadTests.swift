// SPDX-License-Identifier: Apache-2.0
// A daemon and its configuration: at the start, and again on SIGHUP.

import Foundation
import TestSupport
import Testing

@Suite struct `The configuration of a daemon` {
  @Test func `that is wrong ends it at once, with every place`() throws {
    let place = try RunningDaemon.Place()
    try place.configure("interval = \"1 fortnight\"\n[alerts]\nburst = true\n")
    let outcome = try BuiltBinary.run(["daemon", "--root", place.path, "--config", "/fdwatch.toml"] + place.options)
    #expect(outcome.status == .exited(78))
    let lines = outcome.errors.split(separator: "\n")
    #expect(lines.count == 2)
    #expect(
      lines.first?.contains("/fdwatch.toml:1:12: ") == true && lines.last?.contains("/fdwatch.toml:3:9: ") == true)
  }

  @Test func `that has become wrong is refused, and the old one holds until a good one comes`() throws {
    let child = try child(named: "dt-reload")
    try child.limit(soft: 1000)
    let daemon = try RunningDaemon(RunningDaemon.watching("dt-reload"))
    try daemon.waitUntilItListens()
    try daemon.place.configure("interval = true\n")
    daemon.process.send(SIGHUP)
    try daemon.waitFor("the new configuration is refused, the old one holds: ", "/fdwatch.toml:1:12: ")
    #expect((try daemon.status["configuration_problem"] as? String)?.contains("/fdwatch.toml:1:12: ") == true)
    #expect(try daemon.metric("fdwatch_config_reload_failed") == 1)
    #expect(try daemon.ask("status").output.contains("The new configuration is refused, the old one holds:"))
    try child.open("eventfd", 987)
    try daemon.waitFor("dt-reload[\(child.pid)]: 990 of 1000")

    try daemon.place.configure(
      RunningDaemon.watching(
        "dt-reload*", "[[ignore]]\ncomm = \"dt-reload\"\n[[hook]]\nname = \"new\"\nshell = \"echo hello\""))
    daemon.process.send(SIGHUP)
    try daemon.waitFor("the configuration was read again")
    #expect(try daemon.status["configuration_problem"] is NSNull)
    #expect(try daemon.metric("fdwatch_config_reload_failed") == 0)
    // What is ignored now is nobody's business, and whoever was told of it is told so.
    #expect(try daemon.alerts.isEmpty && daemon.status["watched"] as? Int == 0)
    #expect(try daemon.ask("test-alert").status == .exited(0))
    try daemon.waitFor("hook new: hello")
    #expect(daemon.said.contains("Over: dt-reload[\(child.pid)]: it is not watched any more"))
  }

  @Test func `takes effect for whoever is watched at a longer interval`() throws {
    let child = try child(named: "dt-interval")
    try child.limit(soft: 1000)
    let text = RunningDaemon.watching("dt-interval").replacing("interval = \"250ms\"", with: "interval = \"1h\"")
    let daemon = try RunningDaemon(text)
    try daemon.eventually { try daemon.metric("fdwatch_polls_total") ?? 0 >= 1 }
    try child.open("eventfd", 987)
    try daemon.place.configure(RunningDaemon.watching("dt-interval"))
    daemon.process.send(SIGHUP)
    try daemon.waitFor("dt-interval[\(child.pid)]: 990 of 1000")
  }

  @Test func `says where it listens on the network, and orders are not taken there`() throws {
    let ports = try (0..<2).map { _ in
      let listener = try Loopback.listener()
      defer { close(listener) }
      return try Loopback.port(of: listener)
    }
    func text(_ port: UInt16) -> String {
      RunningDaemon.watching("dt-none") + "[metrics]\nlisten = \"127.0.0.1:\(port)\"\n"
    }
    let daemon = try RunningDaemon(text(ports[0]))
    try daemon.waitUntilItListens()
    func ask(_ port: UInt16, _ words: String...) throws -> String {
      try ChildProcess.run(
        ["curl", "--silent", "--show-error"] + words.dropLast() + ["http://127.0.0.1:\(port)\(words.last ?? "")"]
      )
      .output
    }
    #expect(try ask(ports[0], "/healthz") == "ok\n")
    #expect(try ask(ports[0], "-d", "{}", "/silence") == "Only its own socket takes orders.\n")
    #expect(try ask(ports[0], "-X", "PUT", "/status") == "GET or POST.\n")
    try daemon.place.configure(text(ports[1]))
    daemon.process.send(SIGHUP)
    try daemon.waitFor("the configuration was read again")
    #expect(try ask(ports[1], "/healthz") == "ok\n")
    #expect(throws: (any Error).self, "nobody listens there any more") { close(try Loopback.connection(to: ports[0])) }
  }
}
