// SPDX-License-Identifier: Apache-2.0
// Why an engineer should believe a finding, in two or three sentences that can be checked.

import Descriptors

struct Evidence {
  var record: ClassRecord
  var judgement: Judgement
  /// How to name a moment: `since 14:02`.
  var moment: (Double) -> String

  func sentences(closedAges: AgeHistogram, survivors: [LedgerEntry]) -> [String] {
    var sentences = [judgement.isBacklog ? backlog : opening(closedAges)]
    if let usage = judgement.usage {
      if judgement.isOwners {
        if let owners = OwnerAlive.sentence(usage, of: record.open, kind: record.kind.inWords(1)) {
          sentences.insert(owners, at: 0)
        }
      } else if let use = UsageFactors.sentence(usage, record.kind) {
        sentences.append(use)
      }
    }
    if let sign = sign(survivors) { sentences.append(sign) }
    if !judgement.isBacklog {
      let (first, second) = judgement.halves
      sentences.append("They keep coming: \(first) in the first half of that time, \(second) in the second.")
    }
    return sentences
  }

  /// `12 TCP sockets to 127.0.0.1:5432`, `71 descriptors of the file /srv/video.bin`, `30 eventfds`.
  private func subject(_ count: Int) -> String {
    let target = record.label.text.printable
    let nouns = "\(count) \(record.kind.inWords(count))"
    switch record.kind {
    case _ where target.isEmpty: return nouns
    case .tcp: return "\(nouns) \(record.label.isSingle ? "to" : "with") \(target)"
    case _ where record.label.isSingle && target.hasPrefix("/"):
      return "\(count) \(count == 1 ? "descriptor" : "descriptors") of the \(record.kind.inWords(1)) \(target)"
    default: return "\(nouns) \(target)"
    }
  }

  private func opening(_ closed: AgeHistogram) -> String {
    let opened = record.isCloseWait ? "whose peers hung up" : "opened"
    let text = "\(subject(judgement.leaked)) \(opened) \(moment(judgement.since)) were never closed"
    guard closed.everClosed >= 3, let age = closed.ordinaryAge else {
      return text + "; nor was any other of that kind."
    }
    return text
      + "; others of that kind were closed within \(Duration.seconds(age).inWords) (\(closed.everClosed) of them)."
  }

  private var backlog: String {
    "\(subject(record.open)) are open. They are opened faster than they are closed: those that are closed were open ever "
      + "longer."
  }

  private func sign(_ survivors: [LedgerEntry]) -> String? {
    if record.isCloseWait { return "All are in CLOSE_WAIT: the peer hung up and the process did not." }
    if judgement.deletedShare > 0.5 {
      return "The files are deleted: nobody else can open them, and their space is not freed."
    }
    let unread = survivors.count { $0.marks.contains(.hasUnread) }
    if judgement.unreadShare > 0.5 { return "\(unread) of them hold data that nobody reads." }
    if record.label.isSingle, record.kind == .file || record.kind == .directory {
      return "It is the same \(record.kind.rawValue) each time, opened again while the earlier ones stay open."
    }
    return climb(survivors)
  }

  /// The kernel gives out the lowest free number: those of descriptors that are closed come again, and stay low.
  private func climb(_ survivors: [LedgerEntry]) -> String? {
    let numbers = survivors.sorted { ($0.born, $0.number) < ($1.born, $1.number) }.map(\.number)
    guard numbers.count >= 8, let first = numbers.first, let last = numbers.last else { return nil }
    let rises = zip(numbers, numbers.dropFirst()).count { $0 < $1 }
    return rises * 10 < (numbers.count - 1) * 9 ? nil : "Their numbers climb, from \(first) to \(last)."
  }
}
