// SPDX-License-Identifier: Apache-2.0
// What a detector says of a simulated process.

import Descriptors
import Detection

/// What came of one run.
struct Outcome: Sendable {
  var name: String
  var alerts: [(time: Double, finding: Finding)] = []
  var suspicions: [(time: Double, finding: Finding)] = []
  var resolved: [Resolution] = []
  var notices: [Notice] = []
  var overall = Verdict.undecided
  /// When each leaked descriptor was opened, in seconds since the watch began.
  var leaked: [Double] = []

  private var leakingLook: Look?

  /// Whether an alert speaks of what leaks, and not before it does.
  func isRight(_ alert: (time: Double, finding: Finding)) -> Bool {
    guard let first = leaked.first, alert.time >= first, let look = leakingLook else { return false }
    let target = alert.finding.target ?? ""
    return switch look {
    case .socket, .client, .server, .abandoned: alert.finding.kind.isSocket
    case .path(let path): target == path
    // What varies may begin within the prefix.
    case .paths(let prefix, _), .deleted(let prefix): target.hasPrefix(prefix.prefix(5))
    case .anonymous(let name): alert.finding.kind.rawValue == name
    case .pipe: alert.finding.kind == .pipe
    }
  }

  init(_ scenario: Scenario, untilAlert: Bool = false) {
    name = "\(scenario.name), seed \(scenario.seed), every \(scenario.interval) s"
    var process = SimulatedProcess(scenario)
    var detector = Detector()
    while let poll = process.next() {
      for event in detector.observe(poll) {
        switch event {
        case .alert(let finding): alerts.append((poll.time / .seconds(1) - scenario.startTime, finding))
        case .resolved(_, let how): resolved.append(how)
        case .notice(let notice): notices.append(notice)
        case .suspected(let finding): suspicions.append((poll.time / .seconds(1) - scenario.startTime, finding))
        case .raised, .escalated, .attributed: break
        }
      }
      if untilAlert, !alerts.isEmpty { break }
    }
    overall = detector.overall
    leaked = process.leaked
    leakingLook = scenario.leakingLook
  }

  /// The first alert in words, for whoever wonders about it.
  var firstAlert: String {
    guard let (time, finding) = alerts.first else { return "\(name): no alert" }
    return "\(name): \(finding.kind) \(finding.target ?? "") at \(Int(time)) s, \(finding.leaked), "
      + "confidence \(finding.confidence): \(finding.evidence.joined(separator: " "))"
  }
}
