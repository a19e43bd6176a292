// SPDX-License-Identifier: Apache-2.0
// How many entries are written where very much happens: so many a minute in all, and to each account its share.

import Descriptors

/// A bucket that fills at `perMinute`, and holds as many.
private struct TokenBucket: Sendable, Equatable {
  var tokens: Double
  var filledAt: Duration

  mutating func fill(_ perMinute: Double, at time: Duration) {
    tokens = min(perMinute, tokens + max(0, (time - filledAt) / .seconds(60)) * perMinute)
    filledAt = time
  }

  mutating func take() -> Bool {
    guard tokens >= 1 else { return false }
    tokens -= 1
    return true
  }
}

/// Shares the entries of a minute among accounts: a unit, or all that a user can start.
///
/// One account gets half of them at most, so that no number of its alerts takes the other half. Where several accounts
/// together want more than there is, ``isCrowded`` says so: then nobody takes an entry out of turn, and whoever was served
/// longest ago is next. What is critical has a bucket of its own in each account, and does not use up the common one: no
/// number of critical alerts delays those of another account, whatever their priority.
struct RateLimiter: Sendable {
  private struct Account: Sendable {
    var ordinary: TokenBucket
    var critical: TokenBucket
    var servedAt: Duration?
  }

  private var common: TokenBucket?
  private var accounts: [String: Account] = [:]
  /// Whether an entry was refused for want of common tokens since the last ``beginTurn()``.
  private(set) var isCrowded = false

  /// More accounts than that are not told apart. There are as many as units and users; those whose buckets are full are
  /// forgotten first, as that changes nothing.
  static let mostAccounts = 2000

  /// A new turn: all that wait are asked for in their order.
  mutating func beginTurn(burst: Int, at time: Duration) {
    let (all, share) = Self.sizes(burst)
    common?.fill(all, at: time)
    isCrowded = common.map { $0.tokens < 1 } ?? false
    for name in accounts.keys {
      accounts[name]?.ordinary.fill(share, at: time)
      accounts[name]?.critical.fill(all, at: time)
    }
  }

  /// Whether there is something left for an account, as of the last turn.
  func mayServe(_ name: String, isCritical: Bool) -> Bool {
    if let common, common.tokens < 1, !isCritical { return false }
    guard let account = accounts[name] else { return true }
    return account.ordinary.tokens >= 1 || (isCritical && account.critical.tokens >= 1)
  }

  private static func sizes(_ burst: Int) -> (all: Double, share: Double) {
    let all = Double(max(1, burst))
    return (all, max(1, (all / 2).rounded(.down)))
  }

  var knownAccounts: Int { accounts.count }

  /// When an account was last served; `nil` if long ago.
  func servedAt(_ account: String) -> Duration? { accounts[account]?.servedAt }

  /// - Parameters:
  ///   - burst: entries per minute.
  ///   - isInTurn: all others that wait were considered, too.
  mutating func allows(
    _ name: String, isCritical: Bool, isInTurn: Bool, burst: Int, at time: Duration
  ) -> Bool {
    let (all, share) = Self.sizes(burst)
    var account =
      accounts[name]
      ?? Account(
        ordinary: TokenBucket(tokens: share, filledAt: time), critical: TokenBucket(tokens: all, filledAt: time))
    account.ordinary.fill(share, at: time)
    account.critical.fill(all, at: time)
    var whole = common ?? TokenBucket(tokens: all, filledAt: time)
    whole.fill(all, at: time)
    defer {
      common = whole
      if accounts[name] == nil, accounts.count >= Self.mostAccounts { forgetSome(share, all, at: time) }
      accounts[name] = account
    }
    var isAllowed = isCritical && account.critical.take()
    if !isAllowed, isInTurn || !isCrowded, account.ordinary.tokens >= 1 {
      isAllowed = whole.take()
      if isAllowed { _ = account.ordinary.take() } else { isCrowded = true }
    }
    if isAllowed { account.servedAt = time }
    return isAllowed
  }

  private mutating func forgetSome(_ share: Double, _ all: Double, at time: Duration) {
    accounts = accounts.filter { _, account in
      var account = account
      account.ordinary.fill(share, at: time)
      account.critical.fill(all, at: time)
      return account.ordinary.tokens < share || account.critical.tokens < all
    }
    // All were served within the last minute: whoever was served longest ago has most of its share again.
    guard accounts.count >= Self.mostAccounts else { return }
    let oldest = accounts.sorted { ($0.value.servedAt ?? .zero) < ($1.value.servedAt ?? .zero) }
    for (name, _) in oldest.prefix(Self.mostAccounts / 10) { accounts[name] = nil }
  }
}
