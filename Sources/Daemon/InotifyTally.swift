// SPDX-License-Identifier: Apache-2.0
// How many inotify instances each user has, as the kernel limits them by user. See inotify(7),
// /proc/sys/fs/inotify/max_user_instances.

import Alerts
import Descriptors
import Detection
import Linux
import Procfs

/// Counts them one process at a time, as it takes a look at every link: at a thousand processes a round of some minutes.
package struct InotifyTally: Sendable {
  private var counts: [String: Int] = [:]
  /// Who is still to be looked at in this round, as of its beginning: the list of who is watched changes its order.
  private var left: [(pid: Int32, user: String)]?
  private var near: Set<String> = []
  private var next = Duration.zero
  /// Two looks a second at some 400 µs for a hundred descriptors: less than a tenth of a percent of a core.
  private static let pause = Duration.milliseconds(500)
  /// Who has more open than that is not a watcher of files.
  private static let mostDescriptors = 5000

  /// - Parameter owners: of whom alerts go on, since before a restart.
  package init(near owners: [String] = []) {
    near = Set(owners.filter { $0.hasPrefix(Self.owner) }.map { String($0.dropFirst(Self.owner.count)) })
  }

  private static let owner = "user "

  /// - Parameters:
  ///   - percent: of the limit, from which a person is told; 0 never.
  ///   - watched: who is to be looked at.
  package mutating func observe(
    _ percent: Int, _ watched: [Watched], in procfs: borrowing Procfs, _ book: inout AlertBook, at now: Moment
  ) -> [AlertEvent] {
    guard percent > 0 else {
      // It was switched off while it went on.
      defer { near = [] }
      return near.flatMap {
        book.limitIsFar("inotify", of: nil, owner: Self.owner + $0, text: "it is not looked after any more", at: now)
      }
    }
    guard now.time >= next, !watched.isEmpty else { return [] }
    next = now.time + Self.pause
    guard let entry = left?.popLast() else {
      defer {
        counts = [:]
        left = watched.lazy.filter { $0.count <= Self.mostDescriptors }.map { ($0.subject.pid, $0.subject.user) }
      }
      return left == nil ? [] : judge(percent, &book, at: now)
    }
    if let directory = try? ProcessDirectory(pid: entry.pid, in: procfs) {
      var found = 0
      try? directory.forEachTarget(most: Self.mostDescriptors) { _, target in
        if target == "anon_inode:inotify" || target == "anon_inode:[inotify]" { found += 1 }
        return true
      }
      if found > 0 { counts[entry.user, default: 0] += found }
    }
    return []
  }

  private mutating func judge(_ percent: Int, _ book: inout AlertBook, at now: Moment) -> [AlertEvent] {
    guard let limit = Self.limit, limit > 0 else { return [] }
    var events: [AlertEvent] = []
    func text(_ count: Int) -> String {
      "processes that are watched have \(count) of \(limit) inotify instances (fs.inotify.max_user_instances)"
    }
    for (user, count) in counts where count * 100 >= limit * percent {
      near.insert(user)
      let finding = Finding(
        id: 0, kind: .inotify, target: nil, leaked: 0, since: now.time, ratePerHour: 0, rateInterval: 0...0,
        timeToLimit: count * 100 >= limit * 98 ? .zero : nil, timeToLimitInterval: nil, confidence: 1, evidence: [])
      events += book.limit(
        "inotify", of: nil, owner: Self.owner + user,
        text: "\(text(count)): beyond that inotify_init fails with EMFILE", finding: finding, count: count,
        limits: Limits(soft: UInt64(limit), hard: UInt64(limit)), at: now)
    }
    // Five percent of distance, so that it does not flap.
    for user in near where counts[user, default: 0] * 100 < limit * max(1, percent - 5) {
      near.remove(user)
      events += book.limitIsFar(
        "inotify", of: nil, owner: Self.owner + user, text: text(counts[user, default: 0]), at: now)
    }
    return events
  }

  private static var limit: Int? {
    guard let text = try? Descriptor(path: "/proc/sys/fs/inotify").contents(of: "max_user_instances", limit: 4096)
    else {
      return nil
    }
    return Int(String(decoding: text, as: UTF8.self).filter { $0.isNumber })
  }
}
