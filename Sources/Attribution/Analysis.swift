// SPDX-License-Identifier: Apache-2.0
// Detection and attribution together: polls in, findings with their stacks out. Live and replayed alike.

import Descriptors
import Detection

/// What is believed of one process, and who is to blame.
package struct Analysis: Sendable {
  package private(set) var detector: Detector
  private var history: ProfileHistory
  private var open = 0
  /// What was last said of each finding that goes on.
  private var blames: [Int: Blame] = [:]

  package init(detector: Detector = Detector(), filter: FrameFilter = FrameFilter()) {
    self.detector = detector
    history = ProfileHistory(filter: filter)
  }

  /// Takes in a poll. See ``Detector/observe(_:)``.
  package mutating func observe(_ poll: Poll) -> [DetectionEvent] {
    open = poll.count
    for profile in poll.profiles { history.add(profile, at: poll.time) }
    var events = detector.observe(poll)
    // What is said of a finding stands until there is something new to say it from.
    if !poll.profiles.isEmpty || !events.isEmpty { attribute() }
    for index in events.indices { events[index].attach { blames[$0] } }
    return events
  }

  package mutating func processExited(at time: Duration) -> [DetectionEvent] {
    var events = detector.processExited(at: time)
    for index in events.indices { events[index].attach { blames[$0] } }
    blames = [:]
    return events
  }

  /// What was found and goes on.
  package var findings: [Finding] {
    detector.findings.map { finding in
      var finding = finding
      finding.blame = blames[finding.id]
      return finding
    }
  }

  private mutating func attribute() {
    if history.isEmpty { return }
    let findings = detector.findings
    var now: [Int: Blame] = [:]
    for finding in findings {
      guard let members = detector.members(of: finding.id) else { continue }
      let found = history.blame(members, open: open)
      // A stack that was found once is not lost to a snapshot that tells less, as when the process grows too large to read.
      if let found, !found.stacks.isEmpty || blames[finding.id]?.stacks.isEmpty != false {
        now[finding.id] = found
      } else {
        now[finding.id] = blames[finding.id] ?? found
      }
    }
    // Of what was just resolved the last word is still wanted.
    blames.merge(now) { $1 }
  }
}

extension DetectionEvent {
  fileprivate mutating func attach(_ blame: (Int) -> Blame?) {
    switch self {
    case .alert(var finding):
      finding.blame = blame(finding.id)
      self = .alert(finding)
    case .escalated(var finding):
      finding.blame = blame(finding.id)
      self = .escalated(finding)
    case .resolved(var finding, let how):
      finding.blame = blame(finding.id)
      self = .resolved(finding, how)
    case .notice: break
    }
  }
}
