// SPDX-License-Identifier: Apache-2.0
// How much is told where very much happens: a bucket of tokens, and the sum of what was over.

import Descriptors

/// So many entries a minute; what is over is summed up in one.
struct StormBucket: Sendable, Codable {
  private var tokens: Double
  private var filledAt: Duration?
  private var untold = 0
  private var units: Set<String> = []
  private var last: Alert?
  private var due: Duration?
  /// The most urgent of what was not told.
  private var priority = 7
  /// Whom all of them were for; `nil` for everybody.
  private var hooks: Set<String>? = []

  init(burst: Int) { tokens = Double(burst) }

  var isSound: Bool {
    abs(tokens) < 1e12 && countRange.contains(untold) && (filledAt ?? .zero).isPlausible && (due ?? .zero).isPlausible
      && last?.isSound ?? true
  }

  mutating func tells(_ event: AlertEvent, burst: Int, at moment: Moment) -> Bool {
    let burst = Double(burst)
    if let last = filledAt { tokens = min(burst, tokens + (moment.time - last) / .seconds(60) * burst) }
    filledAt = moment.time
    // Too short a time to wait for a summary.
    if event.word == .escalated || event.word == .alert, event.priority <= 2, tokens > -burst {
      tokens -= 1
      return true
    }
    guard tokens >= 1, untold == 0 else {
      untold += 1
      units.insert(event.alert.unit ?? event.alert.worst?.process.name ?? "?")
      last = event.alert
      priority = min(priority, event.priority)
      hooks = event.alert.routing.hooks.flatMap { hooks?.union($0) }
      due = due ?? moment.time + .seconds(60)
      return false
    }
    tokens -= 1
    return true
  }

  mutating func summary(at moment: Moment) -> AlertEvent? {
    guard let due, moment.time >= due, let last else { return nil }
    // Of nobody: it stands for all of them.
    var alert = Alert(id: "storm", type: last.type, firstSeen: moment.wall, unit: nil, members: [])
    alert.isSilenced = last.isSilenced
    alert.routing.hooks = hooks?.sorted()
    var event = AlertEvent(.alert, alert)
    event.summary = StormSummary(
      events: untold, units: units.sorted().prefix(10).map { $0 }, unitCount: units.count, priority: priority)
    priority = 7
    (untold, units, hooks, self.last, self.due) = (0, [], [], nil, nil)
    tokens -= 1
    return event
  }
}
