// SPDX-License-Identifier: Apache-2.0
// How many descriptors are followed one by one, and whose go first where there are too many.

/// Shares room for descriptors among the accounts that processes belong to, so that each gets what it asks for unless it
/// asks for more than those who asked for most (max-min fairness). What is refused is still counted.
package struct TrackingBudget: Sendable {
  /// A descriptor takes 24 bytes in the table of its process and some 40 in its detector, and for the moment of a census
  /// as much again: 200,000 take 13 MB, and at most 5 MB more, of the 64 MB that `fdwatch.service` may use.
  /// What the kernel caches of them, 0.9 to 1.8 KiB each, counts too, until it frees it.
  package static let total = 200_000
  package static let perProcess = 100_000

  private let total: Int
  private let perProcess: Int
  private var charges: [Int32: (account: String, count: Int)] = [:]
  private var accounts: [String: Int] = [:]
  package private(set) var used = 0

  package init(total: Int = Self.total, perProcess: Int = Self.perProcess) {
    (self.total, self.perProcess) = (total, perProcess)
  }

  package enum Answer: Equatable, Sendable {
    case refused
    /// These are not followed any more, to make room.
    case granted(displacing: [Int32])
  }

  /// A process has so many open, and is to be followed, or goes on being followed.
  ///
  /// Where there is no room, the account that has most gives up its largest process, again and again, but only while it
  /// has more than this one would have. A process that is refused has nothing left.
  package mutating func charge(_ count: Int, pid: Int32, account: String) -> Answer {
    release(pid)
    guard count <= perProcess, count <= total else { return .refused }
    let wanted = accounts[account, default: 0] + count
    guard let displaced = room(for: count, of: account, wanting: wanted) else { return .refused }
    for pid in displaced { release(pid) }
    charges[pid] = (account, count)
    accounts[account] = wanted
    used += count
    return .granted(displacing: displaced)
  }

  /// Whether that is what it was charged with: nothing is to be done at most polls.
  package func isCharged(_ count: Int, pid: Int32) -> Bool { charges[pid]?.count == count }

  /// Who has to go. `nil` where nobody has who has more.
  private func room(for count: Int, of account: String, wanting wanted: Int) -> [Int32]? {
    if used + count <= total { return [] }
    var displaced: [Int32] = []
    var (left, others) = (used, accounts)
    others[account] = nil
    var kept = charges.filter { $0.value.account != account }
    while left + count > total {
      guard let largest = others.max(by: { ($0.value, $1.key) < ($1.value, $0.key) }), largest.value > wanted,
        let victim = kept.filter({ $0.value.account == largest.key }).max(by: {
          ($0.value.count, $1.key) < ($1.value.count, $0.key)
        })
      else { return nil }
      displaced.append(victim.key)
      kept[victim.key] = nil
      others[largest.key] = largest.value - victim.value.count
      left -= victim.value.count
    }
    return displaced
  }

  package mutating func release(_ pid: Int32) {
    guard let charge = charges.removeValue(forKey: pid) else { return }
    used -= charge.count
    let rest = accounts[charge.account, default: 0] - charge.count
    accounts[charge.account] = rest > 0 ? rest : nil
  }
}
