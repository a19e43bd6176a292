// SPDX-License-Identifier: Apache-2.0
// Workers of one unit, judged together: a unit whose recycled workers each leak a little is a leak of the unit.

import Descriptors
import Detection

/// A worker that has exited.
package struct ExitedWorker: Sendable {
  /// As alerts name it.
  package var process: AlertProcess
  package var limits: Limits
  package var routing: AlertRouting
  /// Which run of its unit it belonged to; `nil` where no service manager tells.
  package var run: UInt64?
  /// What it left; `nil` if it was only counted.
  package var leftovers: [Leftovers]?
  /// By how much its count rose, where it was only counted.
  package var growth: Int
  /// How long it was watched.
  package var seconds: Double
  /// When it was last seen alive, since boot.
  package var lastSeen: Duration

  package init(
    _ process: AlertProcess, limits: Limits, routing: AlertRouting = AlertRouting(), run: UInt64?,
    leftovers: [Leftovers]?, growth: Int = 0, seconds: Double, lastSeen: Duration
  ) {
    (self.process, self.limits, self.routing, self.run) = (process, limits, routing, run)
    (self.leftovers, self.growth, self.seconds, self.lastSeen) = (leftovers, growth, seconds, lastSeen)
  }
}

/// What the workers of units still held when they exited, by class.
///
/// An exit counts once a successor has come and ``settleSpan`` has passed: workers that end because their service stops
/// have none, however long that takes. Whoever feeds it calls ``forget(_:unless:)`` when a unit as a whole was stopped or
/// started anew: what its processes had leaked has gone with them.
package struct UnitLedger: Sendable, Codable {
  private struct Cause: Hashable, Codable {
    var unit: String
    var command: String
  }

  fileprivate struct Class: Hashable, Codable {
    var kind: Kind
    var target: String
  }

  fileprivate struct Sum: Codable {
    var workers = 0
    var survivors = 0
    var evidence = 0.0
    var places = 0.0
    var thirds: UInt8 = 0
    var seconds = 0.0
    var first: Duration
    var isTold = false
    /// Workers that have exited since without leaving anything of it.
    var clean = 0
    /// The target, as long as all workers have the same.
    var target: String?
    var isSound: Bool {
      [workers, survivors, clean].allSatisfy(countRange.contains) && workers > 0 && first.isPlausible
        && [evidence, places, seconds].allSatisfy { (0..<1e15).contains($0) } && seconds > 0
    }
  }

  /// An exit that does not count yet.
  fileprivate struct Held: Codable {
    var leftovers: [Leftovers]
    var lastSeen: Duration
    var at: Duration
    var hasSuccessor = false
    var isSound: Bool {
      lastSeen.isPlausible && at.isPlausible
        && leftovers.allSatisfy { left in
          countRange.contains(left.survivors)
            && [left.evidence, left.placesSum, left.span].allSatisfy { (0..<1e15).contains($0) }
        }
    }
  }

  /// The workers of one name in a unit.
  fileprivate struct Workers: Codable {
    var run: UInt64?
    var classes: [Class: Sum] = [:]
    var held: [Held] = []
    /// Starts of workers that are nobody's successors yet.
    var births: [Duration] = []
    /// By how much the counts of the last ones rose that were only counted.
    var growth = 0
    /// For alerts: one of them, and of no process.
    var subject: AlertProcess
    var limits: Limits
    var routing: AlertRouting
    var isTold: Bool { classes.values.contains(where: \.isTold) }
    var isSound: Bool {
      countRange.contains(growth) && births.allSatisfy(\.isPlausible) && held.allSatisfy(\.isSound)
        && classes.values.allSatisfy(\.isSound)
    }
  }

  private var units: [Cause: Workers] = [:]
  private static let mostUnits = 1000
  /// Bytes of all of it, as it is saved: some 250 units with short names. Of the account that has most goes what has most.
  static let room = 256 << 10
  private static let mostClasses = 16
  /// A worker that was seen for less tells nothing.
  private static let shortest = 20.0
  // Why these: Sources/Detection/README.md, "Workers that are recycled".
  private static let enoughEvidence = 20.0
  private static let fewestWorkers = 5
  private static let fewestSurvivors = 24
  private static let mostDecline = 1.5
  /// So many in a row that left nothing take the finding back.
  private static let cleared = 5
  /// A unit that is stopped or started anew is known as such by then: all of its processes are looked at more often.
  static let settleSpan = Duration.seconds(30)
  /// A new worker may be started before the old one is ended, as in a reload.
  fileprivate static let headStart = Duration.seconds(60)
  /// An exit without a successor for so long is that of a pool that shrinks, or of a service that stops.
  private static let longestHold = Duration.seconds(3600)
  private static let mostHeld = 64
  /// As much as makes a single process worth a closer look; here it is the sum over workers.
  private static let enoughGrowth = 16
  /// What a worker opens at its start is no more than a hint.
  private static let leastGrowth = 3

  package init() {}

  /// Whether its numbers can be: it may come from a file.
  package var isSound: Bool { units.values.allSatisfy(\.isSound) }

  /// What has changed about a unit.
  package enum Change: Sendable, Equatable {
    /// It leaks, or goes on to: the figures are those of now.
    case leak(Finding)
    case resolved(Finding)
  }

  /// What there is to tell of a unit.
  package struct Outcome: Sendable, Equatable {
    package var change: Change
    /// Of no process: it stays when the worker has gone.
    package var subject: AlertProcess
    package var limits: Limits
    package var routing: AlertRouting
  }

  /// Takes in a worker that has exited. It counts later: see ``settle(at:alive:)``.
  package mutating func exited(_ worker: ExitedWorker, at time: Duration) {
    guard let unit = worker.process.unit, worker.seconds >= Self.shortest else { return }
    let cause = Cause(unit: unit, command: worker.process.command)
    if units[cause] == nil, units.count >= Self.mostUnits {
      // Sessions and jobs come and go under names of their own.
      guard let other = units.first(where: { !$0.value.isTold })?.key else { return }
      units[other] = nil
    }
    var subject = worker.process
    (subject.pid, subject.startTime) = (0, 0)
    var workers =
      units[cause] ?? Workers(subject: subject, limits: worker.limits, routing: worker.routing)
    workers.run = worker.run ?? workers.run
    (workers.subject, workers.limits, workers.routing) = (subject, worker.limits, worker.routing)
    if let leftovers = worker.leftovers {
      if workers.held.count >= Self.mostHeld { workers.held.removeFirst() }
      workers.held.append(Held(leftovers: leftovers, lastSeen: worker.lastSeen, at: time))
      workers.findSuccessors()
    } else if worker.growth >= Self.leastGrowth {
      // It was not looked at, so what it left is not known.
      workers.growth = min(workers.growth + worker.growth, 4 * Self.enoughGrowth)
    } else {
      workers.growth /= 2
    }
    units[cause] = workers
    makeRoom()
  }

  private mutating func makeRoom() {
    var weights = units.mapValues(\.weight)
    var surplus = weights.values.reduce(0, +) - Self.room
    if surplus <= 0 { return }
    var accounts: [String: Int] = [:]
    for (cause, workers) in units { accounts[workers.subject.account, default: 0] += weights[cause] ?? 0 }
    while surplus > 0, let most = accounts.max(by: { ($0.value, $0.key) < ($1.value, $1.key) })?.key {
      let own = units.filter { $0.value.subject.account == most }.keys
      guard let largest = own.max(by: { (weights[$0] ?? 0, $0.command) < (weights[$1] ?? 0, $1.command) }),
        let weight = weights.removeValue(forKey: largest)
      else { return }
      units[largest] = nil
      accounts[most, default: 0] -= weight
      surplus -= weight
    }
  }

  /// A worker was started.
  /// - Parameter start: since boot.
  package mutating func appeared(_ process: AlertProcess, start: Duration) {
    guard let unit = process.unit else { return }
    let cause = Cause(unit: unit, command: process.command)
    guard units[cause] != nil else { return }
    units[cause]?.births.append(start)
    if units[cause]?.births.count ?? 0 > Self.mostHeld { units[cause]?.births.removeFirst() }
    units[cause]?.findSuccessors()
  }

  /// Whether workers of this name leave enough behind that the next ones are to be looked at, and not only counted.
  package func wantsCloserLook(at process: AlertProcess) -> Bool {
    guard let unit = process.unit, let workers = units[Cause(unit: unit, command: process.command)] else {
      return false
    }
    return workers.growth >= Self.enoughGrowth || !workers.classes.isEmpty
  }

  /// Judges the exits that count by now.
  /// - Parameter alive: how many processes of the same unit and name go on: each leaks at the same pace.
  package mutating func settle(at time: Duration, alive: (AlertProcess) -> Int) -> [Outcome] {
    var outcomes: [Outcome] = []
    for (cause, before) in units where !before.held.isEmpty {
      var workers = before
      workers.held.removeAll { time - $0.at > Self.longestHold }
      workers.births.removeAll { time - $0 > Self.longestHold }
      let ready = workers.held.filter { $0.hasSuccessor && time - $0.at >= Self.settleSpan }
      workers.held.removeAll { $0.hasSuccessor && time - $0.at >= Self.settleSpan }
      for exit in ready {
        // What the successors are watched for is answered.
        if exit.leftovers.isEmpty { workers.growth /= 2 }
        outcomes += judge(exit.leftovers, &workers.classes, alive: alive(workers.subject), at: time).map {
          Outcome(change: $0, subject: workers.subject, limits: workers.limits, routing: workers.routing)
        }
      }
      let isIdle = workers.classes.isEmpty && workers.held.isEmpty && workers.growth == 0
      units[cause] = isIdle ? nil : workers
    }
    return outcomes
  }

  private func judge(
    _ leftovers: [Leftovers], _ classes: inout [Class: Sum], alive: Int, at time: Duration
  ) -> [Change] {
    var changes: [Change] = []
    // Classes of one worker that differ in numbers only are one.
    let seen = Dictionary(
      leftovers.map { (Class(kind: $0.kind, target: ($0.target ?? "").withoutNumbers), $0) },
      uniquingKeysWith: { $0.joined(with: $1) })
    for (key, var sum) in classes where seen[key] == nil {
      sum.clean += 1
      if sum.clean >= Self.cleared {
        if sum.isTold { changes.append(.resolved(finding(key, sum, alive: 0, at: time))) }
        classes[key] = nil
      } else {
        classes[key] = sum
      }
    }
    for (key, left) in seen {
      guard classes[key] != nil || classes.count < Self.mostClasses else { continue }
      var sum = classes[key] ?? Sum(first: time, target: left.target ?? "")
      if sum.target != left.target ?? "" { sum.target = nil }
      sum.workers += 1
      sum.survivors += left.survivors
      sum.evidence += left.evidence
      sum.places += left.placesSum
      sum.thirds |= left.thirds
      sum.seconds += left.span
      if sum.isTold || isLeak(sum) {
        sum.isTold = true
        changes.append(.leak(finding(key, sum, alive: alive, at: time)))
      }
      // The last ones count most: half a clean worker is forgiven for each that left something.
      sum.clean = max(0, sum.clean - 1)
      classes[key] = sum
    }
    return changes
  }

  /// Units of which there is something to forget, should they be started anew, and the run that it belongs to.
  package var runs: [String: UInt64] {
    Dictionary(
      units.compactMap { cause, workers in workers.run.map { (cause.unit, $0) } }, uniquingKeysWith: { a, _ in a })
  }

  /// The unit has gone, or was started anew.
  /// - Parameter run: what is known of this run of it stays.
  package mutating func forget(_ unit: String, unless run: UInt64? = nil) {
    units = units.filter { $0.key.unit != unit || (run != nil && $0.value.run == run) }
  }

  private func isLeak(_ sum: Sum) -> Bool {
    guard sum.evidence >= Self.enoughEvidence, sum.workers >= Self.fewestWorkers,
      sum.survivors >= Self.fewestSurvivors, sum.thirds == 7, sum.clean * 4 <= sum.workers
    else { return false }
    let count = Double(sum.survivors)
    return (0.5 - sum.places / count) * (12 * count).squareRoot() <= Self.mostDecline
  }

  private func finding(_ key: Class, _ sum: Sum, alive: Int, at time: Duration) -> Finding {
    let perHour = Double(sum.survivors) / sum.seconds * 3600
    let spread = 1.645 / Double(sum.survivors).squareRoot()
    let average = sum.survivors / sum.workers
    // One and the same for all workers, or what their targets have in common.
    let name = sum.target ?? key.target
    let target = name.isEmpty ? "" : " \(name.printable)"
    return Finding(
      id: 0, kind: key.kind, target: name.isEmpty ? nil : name, leaked: sum.survivors, since: sum.first,
      ratePerHour: perHour * Double(alive),
      rateInterval: (perHour * max(0, 1 - spread))...(perHour * (1 + spread)), timeToLimit: nil,
      timeToLimitInterval: nil, confidence: 0.95,
      evidence: [
        "\(sum.workers) workers have exited that still held \(sum.survivors) \(key.kind.inWords(sum.survivors))\(target) "
          + "which none of them had closed, some \(max(1, average)) each.",
        "They were opened all through the workers' lives, and not only at their start: their replacement hides the leak.",
      ])
  }
}

extension UnitLedger.Workers {
  /// Bytes that it takes as JSON: names of fields and figures have some 600, and some 200 of each class.
  fileprivate var weight: Int {
    let left = held.reduce(0) { sum, exit in
      exit.leftovers.reduce(sum + 150) { $0 + 200 + ($1.target?.jsonBytes ?? 0) }
    }
    return classes.reduce(600 + left + births.count * 45) {
      $0 + 300 + $1.key.target.jsonBytes + ($1.value.target?.jsonBytes ?? 0)
    }
  }

  /// Each that was started makes one exit count.
  fileprivate mutating func findSuccessors() {
    for index in held.indices where !held[index].hasSuccessor {
      let earliest = held[index].lastSeen - UnitLedger.headStart
      guard let birth = births.firstIndex(where: { $0 >= earliest }) else { continue }
      births.remove(at: birth)
      held[index].hasSuccessor = true
    }
  }
}

extension Leftovers {
  fileprivate func joined(with other: Leftovers) -> Leftovers {
    Leftovers(
      kind: kind, target: target == other.target ? target : (target ?? "").withoutNumbers,
      survivors: survivors + other.survivors, evidence: evidence + other.evidence,
      placesSum: placesSum + other.placesSum, thirds: thirds | other.thirds, span: max(span, other.span))
  }
}

extension String {
  /// A path's numbers differ from worker to worker: its pid, a thread's id, a counter. `/x/leak-4711-*` is `/x/leak-*-*`.
  /// An address's numbers are its name.
  fileprivate var withoutNumbers: String {
    guard utf8.first == UInt8(ascii: "/") else { return self }
    var text = ""
    for character in self {
      let isDigit = character.isASCII && character.isNumber
      if !isDigit { text.append(character) } else if text.last != "*" { text.append("*") }
    }
    return text
  }
}
