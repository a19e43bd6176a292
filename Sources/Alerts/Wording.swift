// SPDX-License-Identifier: Apache-2.0
// Figures and findings in plain words.

import Descriptors
import Detection

extension Duration {
  /// `42s`, `17m`, `5h`, `3d`: the same for a column.
  package var inColumn: String {
    let parts = inWords.split(separator: " ")
    guard parts.count == 2, let unit = parts[1].first else { return "years" }
    return "\(parts[0])\(unit)"
  }
}

extension Double {
  /// A rate for a column: `0`, `0.4`, `12`.
  package var rateInColumn: String {
    if self == 0 { return "0" }
    if self >= 9.95 { return String(Int(clamping: rounded())) }
    let tenths = Int(clamping: (self * 10).rounded())
    return tenths == 0 ? "<0.1" : "\(tenths / 10).\(tenths % 10)"
  }
}

extension Limits {
  /// `1024`, or `unlimited`.
  package var softInWords: String { soft == .max ? "unlimited" : String(soft) }
}

extension Finding {
  /// `tcp 10.0.0.5:5432`.
  package var subject: String { target.map { "\(kind.rawValue) \($0.printable)" } ?? kind.rawValue }

  /// `38/h`, or `12/min` for a fast one.
  package var rateInWords: String { ratePerHour.hourlyInWords }

  /// Its evidence and its forecast, as one paragraph.
  package func paragraph(limits: Limits) -> String {
    (evidence + [blame?.sentence, forecast(limits: limits)].compactMap { $0 }).joined(separator: " ")
  }

  /// `tcp 10.0.0.5:5432 may leak (62 %): …`, of what is not sure enough for an alert.
  package var suspicionInWords: String {
    let words = (evidence.prefix(1) + [settles].compactMap { $0 }).joined(separator: " ")
    return "\(subject) may leak (\(confidence.percent)): \(words)"
  }

  /// How long the soft limit is away.
  package func forecast(limits: Limits) -> String {
    guard let left = timeToLimit else {
      return "It grows by \(rateInWords); the limit of \(limits.softInWords) is not in sight."
    }
    var text = "At this rate (\(rateInWords)) the limit of \(limits.softInWords) is reached in \(left.inWords)"
    if let range = timeToLimitInterval, range.lowerBound.inWords != range.upperBound.inWords {
      text += " (between \(range.lowerBound.inWords) and \(range.upperBound.inWords))"
    }
    return text + "."
  }
}

extension Blame {
  /// Who opened them, or why that is not known.
  package var sentence: String {
    guard !stacks.isEmpty else { return "Who opened them is not known: \((remark ?? "no profile fits").printable)." }
    let verb = isWitness ? "are held by what waits at" : "were opened by"
    let parts = stacks.prefix(3).map { "\($0.share.percent) \(verb) \($0.culprit.frameInWords)" }
    var text = parts.joined(separator: ", ")
    if explained < 0.9 { text += "; \((1 - explained).percent) is not explained" }
    text += isExact ? " (by descriptor numbers)" : remark.map { " (\($0))" } ?? ""
    return text + "."
  }
}

extension Double {
  /// `97 %`.
  package var percent: String { "\(Int(clamping: (self * 100).rounded())) %" }
}

extension String {
  /// `main.leak /src/app/main.go:58` as `main.leak (main.go:58)`; without a line number it is no place, but words.
  var frameInWords: String {
    let words = split(separator: " ", maxSplits: 1)
    guard words.count == 2, words[1].contains(":"), let file = words[1].split(separator: "/").last else {
      return printable
    }
    return "\(words[0]) (\(file))".printable
  }
}

extension Resolution {
  package var inWords: String {
    switch self {
    case .closed: "its descriptors were closed"
    case .exited: "the process exited"
    case .retracted: "they were closed after all: it was not a leak"
    case .unwatched: "it is not watched any more"
    case .merged: "it is a part of another of its leaks, which goes on"
    }
  }
}

extension Alert {
  /// Who opened what leaks, where any of its processes could tell.
  package var blame: Blame? {
    members.lazy.compactMap(\.finding.blame).first { !$0.stacks.isEmpty } ?? worst?.finding.blame
  }

  /// The stack to blame first.
  package var stack: Blame.Stack? { blame?.stacks.first }

  /// Who it is about: `orders.service orders[812]`, `orders.service (40 processes)`.
  package var who: String {
    guard let process = worst?.process else { return unit?.printable ?? "?" }
    if members.count > 1 { return "\(unit?.printable ?? process.command.printable) (\(members.count) processes)" }
    if process.pid == 0 { return (unit ?? process.command).printable }
    return unit.map { "\($0.printable) \(process.name)" } ?? process.name
  }

  /// What it is about: `tcp 10.0.0.5:5432`, `soft limit`.
  package var what: String {
    switch type {
    case .leak: worst?.finding.subject ?? ""
    case .limit: "limit"
    case .report: "report"
    }
  }

  /// One line: who, what, how fast, how long left, and who opened it.
  package var headline: String {
    let again = returns == 0 ? "" : " (it has come and gone \(returns) times)"
    if let text {
      let opener = type == .limit ? stack.map { "; \($0.share.percent) opened by \($0.culprit.frameInWords)" } : nil
      return "\(who): \(text.printable)\(opener ?? "")\(again)"
    }
    guard let worst else { return who }
    if worst.process.pid == 0 {
      let rate = ratePerHour > 0 ? ", +\(ratePerHour.hourlyInWords)" : ""
      return "\(who) leaks \(what): its workers have exited with \(leaked) that they had not closed\(rate)\(again)"
    }
    var line = "\(who) leaks \(what): \(leaked) open that were never closed, +\(ratePerHour.hourlyInWords)"
    if let left = timeToLimit {
      line +=
        ", limit of \(worst.limits.softInWords) " + (left < .seconds(1) ? "is reached" : "reached in \(left.inWords)")
    }
    if let stack { line += "; \(stack.share.percent) opened by \(stack.culprit.frameInWords)" }
    return line + again
  }
}

extension AlertSummary {
  /// Whom it concerns, as far as that fits into a line.
  private var names: String {
    let more = unitCount - shares.count
    let parts = shares.map { share in
      unitCount == 1 || reason == .silenceEnded
        ? share.name.printable : "\(share.count) of \(share.name.printable)"
    }
    return parts.joined(separator: ", ") + (more > 0 ? " and \(more) more" : "")
  }

  fileprivate var message: String {
    switch reason {
    case .heldBack:
      let what = count == 1 ? "1 more alert of" : unitCount == 1 ? "\(count) more alerts of" : "\(count) more alerts:"
      return "\(what) \(names). They exceed the limit of entries; each follows in turn, and fdwatch status lists them"
    case .silenceEnded:
      let lines = items.prefix(Self.mostQuoted).map(\.headline).joined(separator: "; ")
      let more = items.count - Self.mostQuoted
      return "No longer silenced, \(count) alerts of \(names): \(lines)" + (more > 0 ? "; and \(more) more" : "")
    }
  }

  /// So many are quoted in one line; the fields have all.
  private static let mostQuoted = 10
}

extension AlertEvent {
  /// One line for a log, a mail's subject, a chat.
  package var message: String { (alert.isSilenced ? "Silenced: " : "") + words }

  private var words: String {
    if let summary { return summary.message }
    switch word {
    case .suspected: return "\(alert.who): \(alert.worst?.finding.suspicionInWords ?? "may leak")"
    case .alert: return alert.headline
    case .escalated: return "More urgent: " + alert.headline
    case .reminder: return "Still: " + alert.headline
    case .resolved where alert.type == .leak:
      let again = alert.returns == 0 ? "" : " (it came and went \(alert.returns) times)"
      return "\(alert.who) leaked \(alert.what): over, \(resolution?.inWords ?? "its descriptors were closed")\(again)"
    case .resolved:
      let end = resolution.flatMap { $0 == .closed ? nil : $0.inWords }
      return "Over: " + (end.map { "\(alert.who): \($0)" } ?? alert.headline)
    case .notice:
      return alert.type == .leak
        ? "\(alert.who) leaks \(alert.what): \(alert.blame?.sentence ?? "")" : alert.headline
    case .test: return "Test of fdwatch's alerts, nothing has happened: " + alert.headline
    }
  }
}

extension Double {
  /// `38/h`, or `12/min` for a fast one.
  package var hourlyInWords: String {
    self >= 600 ? "\((self / 60).rateInColumn)/min" : "\(rateInColumn)/h"
  }
}
