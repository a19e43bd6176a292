// SPDX-License-Identifier: Apache-2.0
// How much is kept: names and texts are a stranger's choice, so alerts share a bounded number of bytes.

import Descriptors
import Detection

extension AlertBook {
  /// Bytes of all alerts together, as they are saved: some 1,000 with short names. JSON takes nine times as much for a
  /// moment when it is written and twelve times when it is read, of the 64 MB that `fdwatch.service` may use.
  static let room = 3 << 19
  /// Of the suspicions of one account, and of all: they are saved with the alerts.
  static let suspicionRoom = (account: room / 8, total: room / 3)

  /// Notes what has come in. To weigh all takes some milliseconds where there are very many.
  mutating func makeRoom(for member: AlertMember, _ text: String?) {
    unweighed += member.weight + (text?.jsonBytes ?? 0)
    guard unweighed >= Self.room / 16 else { return }
    unweighed = 0
    forgetOld()
  }

  /// Whether what is suspected of another process may be kept.
  func hasRoomForSuspicion(_ member: AlertMember, _ cause: Cause) -> Bool {
    var own = member.weight + cause.weight
    var all = own
    for (cause, alert) in suspicions {
      let weight = alert.weight + cause.weight
      all += weight
      if alert.account == member.process.account { own += weight }
    }
    return own <= Self.suspicionRoom.account && all <= Self.suspicionRoom.total
  }

  /// Of the account that takes most room goes first what is over, then what nobody has heard of, which is told all the
  /// same if it goes on.
  private mutating func forgetOld() {
    var weights: [Cause: Int] = [:]
    weights.reserveCapacity(entries.count)
    for (cause, entry) in entries { weights[cause] = entry.alert.weight + cause.weight }
    var surplus = weights.values.reduce(0, +) - Self.room
    if surplus <= 0 { return }
    var accounts = Dictionary(grouping: entries.keys) { entries[$0]?.alert.account ?? "" }
    for name in Array(accounts.keys) {
      accounts[name]?.sort { (entries[$0]?.worth ?? (0, .zero)) > (entries[$1]?.worth ?? (0, .zero)) }
    }
    var sizes = accounts.mapValues { $0.reduce(0) { $0 + (weights[$1] ?? 0) } }
    while surplus > 0, let most = sizes.max(by: { ($0.value, $0.key) < ($1.value, $1.key) })?.key {
      // Down to the next in size, so that the largest is not looked for at each one.
      let next = sizes.filter { $0.key != most }.values.max() ?? 0
      repeat {
        guard let cause = accounts[most]?.popLast() else {
          sizes[most] = nil
          break
        }
        entries[cause] = nil
        surplus -= weights[cause] ?? 0
        sizes[most, default: 0] -= weights[cause] ?? 0
      } while surplus > 0 && sizes[most, default: 0] > next
    }
  }
}

extension AlertBook.Entry {
  /// What is worth most is kept longest: what goes on and was told, then what waits, then what is over. A report was over
  /// when it was told.
  fileprivate var worth: (rank: Int, time: Duration) {
    if !isFiring || alert.type == .report { return (0, endedAt ?? nextReminder ?? .zero) }
    return (heard == .nobody ? 1 : 2, .seconds(-alert.firstSeen))
  }
}

extension Cause {
  fileprivate var weight: Int { owner.jsonBytes + subject.jsonBytes }
}

extension Alert {
  /// Processes beyond that are not named one by one, nor counted in sums.
  static let mostMembers = 256

  /// Bytes that it takes as JSON: names of fields and figures have some 700.
  var weight: Int { 700 + (text?.jsonBytes ?? 0) + members.reduce(0) { $0 + $1.weight } }
}

extension AlertMember {
  /// Names of fields and figures have some 800.
  var weight: Int {
    let names = [process.command, process.executable ?? "", process.user, process.unit ?? "", finding.target ?? ""]
    let frames = finding.blame?.stacks.lazy.flatMap(\.frames) ?? []
    return 800 + names.reduce(0) { $0 + $1.jsonBytes } + finding.evidence.reduce(0) { $0 + $1.jsonBytes }
      + frames.reduce(0) { $0 + $1.jsonBytes + 3 } + (finding.settles?.jsonBytes ?? 0)
      + (finding.blame?.remark?.jsonBytes ?? 0)
  }
}

extension String {
  /// A control character is written as `\u0001`.
  package var jsonBytes: Int {
    utf8.reduce(0) { sum, byte in
      switch byte {
      case 0..<0x20: sum + 6
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): sum + 2
      default: sum + 1
      }
    }
  }
}
