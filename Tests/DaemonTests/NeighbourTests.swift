// SPDX-License-Identifier: Apache-2.0
// Alerts of one user's processes beside those of a service of root's.

import Foundation
import TestSupport
import Testing

/// In a session all that is started is the session's user's, whatever it becomes.
private let isInSession: Bool = {
  let place = (try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)) ?? ""
  return place.contains("/user.slice/")
}()

@Suite(.enabled(if: Machine.isRoot && !isInSession, "needs root, outside of a session, to start others' processes"))
struct `A user with many leaks` {
  /// Nobody's own.
  private let attacker: UInt32 = 48_213

  private func leak(_ name: String, as user: UInt32? = nil) throws -> FDFactory {
    let child = try child(named: name)
    // Without a limit in sight: not critical.
    try child.limit(soft: 20_000)
    if let user { try child.drop(to: user) }
    try child.startLeak(of: "eventfd", every: .milliseconds(250), count: 5000)
    return child
  }

  @Test func `keeps no alert of another's from the journal and from hooks`() throws {
    let daemon = try RunningDaemon(
      """
      interval = "250ms"
      sensitivity = "high"
      cpu_budget = 100
      [alerts]
      journal = false
      burst = 4
      [[watch]]
      comm = "dt-many*"
      [[hook]]
      name = "slow"
      shell = "sleep 0.3; echo got $FDWATCH_COMM"
      queue = 3
      events = ["alert"]
      """)
    let attackers = try (0..<16).map { try leak("dt-many-\($0)", as: attacker) }
    // All are known, and most are held back.
    try daemon.eventually { try daemon.alerts.count == attackers.count }
    let victim = try leak("dt-many-victim")
    try daemon.waitFor("fdwatch: dt-many-victim[\(victim.pid)] leaks eventfd")
    try daemon.waitFor("hook slow: got dt-many-victim")
    let told = daemon.said.components(separatedBy: "\n").filter { $0.contains("dt-many-") && $0.contains(" leaks ") }
    #expect(told.count < attackers.count, "the others still wait: \(told)")
    try daemon.waitFor("more alerts of user \(attacker). They exceed the limit of entries")
    withExtendedLifetime(attackers) {}
  }
}
