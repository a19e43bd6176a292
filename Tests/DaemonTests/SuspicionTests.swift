// SPDX-License-Identifier: Apache-2.0
// What the daemon does with a leak that is not sure enough for an alert.

import TestSupport
import Testing

@Suite struct `A leak that the daemon suspects` {
  @Test func `is logged, in its status, and for hooks that ask; the alert has the same id`() throws {
    let child = try child(named: "dt-suspect")
    // So far away that nothing but 0.9 is enough for an alert.
    try child.limit(soft: 4000)
    let daemon = try RunningDaemon(
      RunningDaemon.watching(
        "dt-suspect",
        """
        [[hook]]
        name = "asks"
        events = ["suspected"]
        shell = "echo asked: $FDWATCH_EVENT $FDWATCH_ALERT_ID"
        [[hook]]
        name = "usual"
        shell = "echo usual: $FDWATCH_EVENT $FDWATCH_ALERT_ID"
        """))
    try daemon.waitUntilItListens()
    try child.startLeak(of: "eventfd", every: .milliseconds(50), count: 3900)
    let suspicion = try daemon.waitFor("dt-suspect[\(child.pid)]: eventfd may leak")
    #expect(suspicion.contains(" %)"))
    let asked = try daemon.waitFor("asked: suspected ")
    let id = try #require(asked.split(separator: " ").last)
    try daemon.waitFor("usual: alert \(id)")
    #expect(!daemon.said.contains("usual: suspected") && !daemon.said.contains("asked: alert"))
    #expect(try daemon.alerts.map { $0["id"] as? String } == [String(id)])
    #expect(try (daemon.status["suspected"] as? [Any])?.isEmpty == true, "it is an alert by now")
  }
}
