// SPDX-License-Identifier: Apache-2.0
// Whose request is next, so that nobody's slow servers hold up another's.

/// Requests that wait, and how many of each owner are under way.
///
/// The next one is of the owner that has the fewest under way, and of these of the one that has waited longest. So an owner
/// with a thousand slow servers takes no more than its share, and one that has none under way waits for a place only.
struct FetchQueue<Request> {
  /// As many of one owner at once. A service of many workers has them asked in turn.
  static var mostPerOwner: Int { 4 }
  /// As many in all: each costs libcurl some 20 KiB of buffers, and a descriptor of ours.
  static var most: Int { 32 }

  private var waiting: [String: [(ticket: UInt64, request: Request)]] = [:]
  private var underWay: [String: Int] = [:]
  private var total = 0
  private var lastTicket: UInt64 = 0

  mutating func add(_ request: Request, of owner: String) {
    lastTicket += 1
    waiting[owner, default: []].append((lastTicket, request))
  }

  /// Takes out the one to begin now, which is under way until ``finished(_:)``. `nil` if none may begin.
  mutating func next() -> Request? {
    guard total < Self.most else { return nil }
    let candidates = waiting.compactMap { owner, requests -> (running: Int, ticket: UInt64, owner: String)? in
      let running = underWay[owner] ?? 0
      guard running < Self.mostPerOwner, let first = requests.first else { return nil }
      return (running, first.ticket, owner)
    }
    guard let best = candidates.min(by: { ($0.running, $0.ticket) < ($1.running, $1.ticket) }),
      let request = waiting[best.owner]?.removeFirst().request
    else { return nil }
    if waiting[best.owner]?.isEmpty == true { waiting[best.owner] = nil }
    underWay[best.owner] = best.running + 1
    total += 1
    return request
  }

  /// One of the owner's has come to its end, whichever it was.
  mutating func finished(_ owner: String) {
    guard let running = underWay[owner] else { return }
    underWay[owner] = running > 1 ? running - 1 : nil
    total -= 1
  }
}
