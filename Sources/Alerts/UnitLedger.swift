// SPDX-License-Identifier: Apache-2.0
// Workers of one unit, judged together: a unit whose recycled workers each leak a little is a leak of the unit.

import Descriptors
import Detection

/// What the workers of units still held when they exited, by class.
package struct UnitLedger: Sendable, Codable {
  private struct Cause: Hashable, Codable {
    var unit: String
    var command: String
  }

  private struct Class: Hashable, Codable {
    var kind: Kind
    var target: String
  }

  private struct Sum: Codable {
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
    var isSound: Bool {
      [workers, survivors, clean].allSatisfy(countRange.contains) && workers > 0 && first.isPlausible
        && [evidence, places, seconds].allSatisfy { (0..<1e15).contains($0) } && seconds > 0
    }
  }

  private var sums: [Cause: [Class: Sum]] = [:]
  private static let mostUnits = 1000
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

  package init() {}

  /// Whether its numbers can be: it may come from a file.
  package var isSound: Bool { sums.values.allSatisfy { $0.values.allSatisfy(\.isSound) } }

  /// What has changed about a unit.
  package enum Change: Sendable, Equatable {
    case leak(Finding)
    case resolved(Finding)
  }

  /// Takes in a worker that has exited.
  /// - Parameters:
  ///   - seconds: how long it was watched.
  ///   - alive: processes of the same unit and name that go on: each leaks at the same pace.
  package mutating func exited(
    _ leftovers: [Leftovers], of unit: String, command: String, seconds: Double, alive: Int, at time: Duration
  ) -> [Change] {
    guard seconds >= Self.shortest else { return [] }
    let cause = Cause(unit: unit, command: command)
    if sums[cause] == nil, sums.count >= Self.mostUnits {
      // Sessions and jobs come and go under names of their own.
      guard let other = sums.first(where: { !$0.value.values.contains { $0.isTold } })?.key else { return [] }
      sums[other] = nil
    }
    var classes = sums[cause] ?? [:]
    var changes: [Change] = []
    let seen = Dictionary(
      leftovers.map { (Class(kind: $0.kind, target: $0.target ?? ""), $0) }, uniquingKeysWith: { a, _ in a })
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
      var sum = classes[key] ?? Sum(first: time)
      sum.workers += 1
      sum.survivors += left.survivors
      sum.evidence += left.evidence
      sum.places += left.placesSum
      sum.thirds |= left.thirds
      sum.seconds += left.span
      if isLeak(sum), !sum.isTold {
        sum.isTold = true
        changes.append(.leak(finding(key, sum, alive: alive, at: time)))
      }
      // The last ones count most: half a clean worker is forgiven for each that left something.
      sum.clean = max(0, sum.clean - 1)
      classes[key] = sum
    }
    sums[cause] = classes.isEmpty ? nil : classes
    return changes
  }

  /// The unit has gone.
  package mutating func forget(_ unit: String) { sums = sums.filter { $0.key.unit != unit } }

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
    let target = key.target.isEmpty ? "" : " \(key.target.printable)"
    return Finding(
      id: 0, kind: key.kind, target: key.target.isEmpty ? nil : key.target, leaked: sum.survivors, since: sum.first,
      ratePerHour: perHour * Double(max(1, alive)),
      rateInterval: (perHour * max(0, 1 - spread))...(perHour * (1 + spread)), timeToLimit: nil,
      timeToLimitInterval: nil, confidence: 0.95,
      evidence: [
        "\(sum.workers) workers have exited that still held \(sum.survivors) \(key.kind.inWords(sum.survivors))\(target) "
          + "which none of them had closed, some \(max(1, average)) each.",
        "They were opened all through the workers' lives, and not only at their start: their replacement hides the leak.",
      ])
  }
}
