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
  /// Alerts that wait for the stack to blame: who is told once should be told all.
  private var waiting: [(finding: Int, until: Duration)] = []
  /// Profiles are asked for when something looks suspicious: an answer is a matter of seconds, or it does not come.
  private static let patience = Duration.seconds(6)
  /// Findings that were told with their stack.
  private var withStack: Set<Int> = []

  package init(detector: Detector = Detector(), filter: FrameFilter = FrameFilter()) {
    self.detector = detector
    history = ProfileHistory(filter: filter)
    // Of one that was restored: what was known of its stacks stands until a profile says more.
    for finding in detector.findings {
      guard let blame = finding.blame else { continue }
      blames[finding.id] = blame
      if !blame.stacks.isEmpty { withStack.insert(finding.id) }
    }
    self.detector.setBlames([:])
  }

  /// For a restart: see ``Detector/savedState``. Of stacks only what was said of the findings that go on: the profiles
  /// themselves are asked for anew.
  package var savedState: [UInt8] {
    var copy = detector
    copy.setBlames(blames)
    return copy.savedState
  }

  /// Other frames are skipped from now on.
  package mutating func use(_ filter: FrameFilter) { history.filter = filter }

  /// See ``Detector/patience``.
  package mutating func setPatience(_ patience: Double) { detector.patience = patience }

  /// What may be kept of profiles, and what is.
  package var profileBytes: Int {
    get { history.mostBytes }
    set { history.mostBytes = newValue }
  }
  package var keptProfileBytes: Int { history.bytes }
  /// Not all stacks of the last profiles are kept.
  package var isProfileCut: Bool { history.isCut }
  /// What is kept of the profile that came in last.
  package var lastProfile: ProfileSnapshot? { history.last }

  /// Takes in a poll. See ``Detector/observe(_:)``.
  package mutating func observe(_ poll: Poll) -> [DetectionEvent] {
    open = poll.count
    for profile in poll.profiles { history.add(profile, at: max(.zero, poll.time - profile.age)) }
    var events = detector.observe(poll)
    // What is said of a finding stands until there is something new to say it from.
    if !poll.profiles.isEmpty || !events.isEmpty { attribute() }
    events = holding(events, at: poll.time)
    for index in events.indices { events[index].attach { blames[$0] } }
    let told = events + newlyAttributed(told: events)
    if events.contains(where: { if case .resolved = $0 { true } else { false } }) { forgetResolved() }
    return told
  }

  private mutating func forgetResolved() {
    let current = Set(detector.findings.map(\.id))
    blames = blames.filter { current.contains($0.key) }
    withStack.formIntersection(current)
  }

  /// Keeps back alerts without a stack while there is hope for one, and lets go of those that have waited.
  private mutating func holding(_ events: [DetectionEvent], at time: Duration) -> [DetectionEvent] {
    if history.isEmpty, waiting.isEmpty { return events }
    var told: [DetectionEvent] = []
    func hasStack(_ id: Int) -> Bool { blames[id]?.stacks.isEmpty == false }
    for event in events {
      switch event {
      case .alert(let finding) where !hasStack(finding.id):
        waiting.append((finding.id, time + min(Self.patience, (finding.timeToLimit ?? .seconds(600)) / 10)))
      case .escalated(let finding) where waiting.contains { $0.finding == finding.id }: break
      case .raised(let finding, _) where waiting.contains { $0.finding == finding.id }: break
      case .resolved(let finding, _) where waiting.contains { $0.finding == finding.id }:
        // Over before it was told: both are told now.
        waiting.removeAll { $0.finding == finding.id }
        told += [.alert(finding), event]
      default: told.append(event)
      }
    }
    let current = detector.findings
    for (id, until) in waiting where time >= until || hasStack(id) {
      if let finding = current.first(where: { $0.id == id }) { told.append(.alert(finding)) }
    }
    waiting.removeAll { $0.until <= time || hasStack($0.finding) }
    return told
  }

  /// Alerts that went out without a stack, which there is now.
  private mutating func newlyAttributed(told events: [DetectionEvent]) -> [DetectionEvent] {
    for case .alert(let finding) in events where finding.blame?.stacks.isEmpty == false {
      withStack.insert(finding.id)
    }
    return findings.compactMap { finding in
      guard finding.blame?.stacks.isEmpty == false, withStack.insert(finding.id).inserted else { return nil }
      return .attributed(finding)
    }
  }

  package mutating func processExited(at time: Duration) -> [DetectionEvent] {
    var events = detector.processExited(at: time)
    events = events.flatMap { event -> [DetectionEvent] in
      guard case .resolved(let finding, _) = event, waiting.contains(where: { $0.finding == finding.id }) else {
        return [event]
      }
      return [.alert(finding), event]
    }
    waiting = []
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

  /// Those of them that do not wait for a stack any more.
  package var toldFindings: [Finding] {
    findings.filter { finding in !waiting.contains { $0.finding == finding.id } }
  }

  /// What fills the table, leak or not.
  package var holders: Holders { Holders(detector.classReports, open: open, blame: history.holders(open: open)) }

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
    case .raised(var finding, let isAlert):
      finding.blame = blame(finding.id)
      self = .raised(finding, isAlert: isAlert)
    case .resolved(var finding, let how):
      finding.blame = blame(finding.id)
      self = .resolved(finding, how)
    case .suspected, .attributed, .notice: break
    }
  }
}
