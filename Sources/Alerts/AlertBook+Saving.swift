// SPDX-License-Identifier: Apache-2.0
// What a book keeps over a restart.

import Descriptors
import Detection

// MARK: Saving

extension AlertBook {
  /// What is kept over a restart of the daemon.
  package struct Saved: Codable, Sendable {
    /// Of another version nothing is believed.
    package static let version = 5
    package var version = Saved.version
    fileprivate var counter: UInt32
    fileprivate var entries: [SavedEntry]
    fileprivate var suspicions: [SavedSuspicion]
    package var count: Int { entries.count }
    /// Whether its numbers can be.
    package var isSound: Bool { entries.allSatisfy(\.entry.isSound) && suspicions.allSatisfy(\.alert.isSound) }
  }

  fileprivate struct SavedSuspicion: Codable, Sendable {
    var cause: Cause
    var alert: Alert
  }

  fileprivate struct SavedEntry: Codable, Sendable {
    var cause: Cause
    var entry: Entry
  }

  package var saved: Saved {
    Saved(
      counter: counter, entries: entries.map { SavedEntry(cause: $0, entry: $1) },
      suspicions: suspicions.map { SavedSuspicion(cause: $0, alert: $1) })
  }

  /// Goes on where another left off.
  /// - Parameters:
  ///   - isThisBoot: whether that was on this boot. Of another one only what went on is believed, so that it can be
  ///     ended: the times of the rest are of another clock.
  ///   - time: since boot.
  package mutating func restore(_ saved: Saved, isThisBoot: Bool = true, at time: Duration) {
    counter = saved.counter
    unweighed = Self.room
    // Those of another boot are of processes that have ended.
    if isThisBoot {
      for kept in saved.suspicions { suspicions[kept.cause] = kept.alert }
    }
    for kept in saved.entries {
      var entry = kept.entry
      if !isThisBoot, !entry.isFiring || kept.cause.type == .report { continue }
      if kept.cause.type != .report, entry.isFiring {
        // What is said of a unit, a user or the host is confirmed by no look at a process.
        for member in entry.alert.members where member.process.pid > 0 { entry.unconfirmed[member.process.pid] = time }
      }
      entries[kept.cause] = entry
    }
  }

  /// All processes that alerts and suspicions which go on speak of.
  package var processes: Set<AlertProcess> {
    Set(
      (entries.values.lazy.filter(\.isFiring).map(\.alert) + suspicions.values).flatMap { $0.members.map(\.process) })
  }
}
