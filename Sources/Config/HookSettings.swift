// SPDX-License-Identifier: Apache-2.0
// [[hook]]: who else is told.

import Descriptors

package struct HookSettings: Sendable, Equatable {
  package enum Action: Sendable, Equatable {
    /// Words, the first of which is an absolute path. No shell.
    case command([String])
    /// For `/bin/sh -c`.
    case shell(String)
    /// A template, such as `fdwatch-alert@.service`: started with the alert's id as its instance.
    case unit(String)
  }

  package enum Event: String, Sendable, CaseIterable {
    case suspected, alert, escalated, reminder, resolved
  }

  package enum AlertType: String, Sendable, CaseIterable {
    case leak, limit, report
  }

  /// syslog's numbers: less is more urgent.
  package enum Priority: Int, Sendable, CaseIterable {
    case crit = 2
    case err, warning, notice, info
  }

  package var name: String
  package var action: Action
  package var events: Set<Event> = [.alert, .escalated, .resolved]
  package var types: Set<AlertType> = [.leak, .limit, .report]
  /// The least urgent that passes.
  package var priority = Priority.warning
  /// How long a run may take.
  package var timeout: Duration = .seconds(30)
  /// How many may run at once.
  package var concurrency = 1
  /// How many may wait; of the rest only the number is kept.
  package var queue = 100
  /// Who runs it. `nil`: as the daemon itself.
  package var user: String?

  package init(name: String, action: Action) {
    self.name = name
    self.action = action
  }
}

/// A hook as it is written: not yet with exactly one of three.
struct HookDraft: Sendable {
  var name: String?
  var command: [String]?
  var shell: String?
  var unit: String?
  var settings = HookSettings(name: "", action: .command([]))

  static let schema = Schema<HookDraft>([
    Field("name", \.name, optional: .hookName),
    Field("command", \.command, optional: .command),
    Field("shell", \.shell, optional: .script),
    Field("unit", \.unit, optional: .template),
    Field("events", \.settings.events, .set()),
    Field("types", \.settings.types, .set()),
    Field("priority", \.settings.priority, .priority),
    Field("timeout", \.settings.timeout, .time(.seconds(1) ... .seconds(3600))),
    Field("concurrency", \.settings.concurrency, .whole(1...100)),
    Field("queue", \.settings.queue, .whole(1...100_000)),
    Field("user", \.settings.user, optional: .string("the name of a user")),
  ])

  /// The hook, or `nil` where it is not whole, with a mistake that says why.
  /// - Parameters:
  ///   - members: as they were written; what was wrong in one of them is told already.
  ///   - place: of the hook.
  func finished(_ members: [TOMLNode], at place: Place, _ mistakes: inout [Mistake]) -> HookSettings? {
    let actions = members.filter { ["command", "shell", "unit"].contains($0.key) }
    if !members.contains(where: { $0.key == "name" }) {
      mistakes.append(Mistake(place: place, message: "the hook has no name; expected name = \"…\""))
    }
    if actions.isEmpty {
      mistakes.append(
        Mistake(place: place, message: "the hook does nothing; expected one of command, shell and unit"))
    }
    let inOrder = actions.sorted { $0.keyPlace < $1.keyPlace }
    for surplus in inOrder.dropFirst() {
      mistakes.append(
        Mistake(
          place: surplus.keyPlace,
          message: "the hook has both \(inOrder[0].key) and \(surplus.key); expected one of command, shell and unit"))
    }
    if unit != nil, let user = members.first(where: { $0.key == "user" }) {
      mistakes.append(
        Mistake(place: user.keyPlace, message: "user does not go with unit; expected User= in the unit itself"))
    }
    let action: HookSettings.Action? =
      command.map { .command($0) } ?? shell.map { .shell($0) } ?? unit.map { .unit($0) }
    guard let name, let action else { return nil }
    var hook = settings
    hook.name = name
    hook.action = action
    return hook
  }
}

extension Form<String> {
  // It goes into the names of units and of metrics.
  fileprivate static let hookName = string("a name of at most 64 letters, digits, \"_\", \".\" and \"-\"") { name in
    name.utf8.count <= 64
      && name.unicodeScalars.allSatisfy {
        $0.isASCII
          && ($0.properties.isAlphabetic || $0.properties.numericType != nil || "_.-".unicodeScalars.contains($0))
      }
  }

  fileprivate static let script = Form(
    "a command line of a shell",
    read: {
      guard case .string(let text) = $0.value, !text.isEmpty, !text.contains("\0") else { return nil }
      return text
    }, text: TOMLText.quoted)

  fileprivate static let template = string("a template unit, as in \"fdwatch-alert@.service\"") { name in
    name.contains("@.") && !name.hasPrefix("@") && !name.contains("/") && !name.hasSuffix(".")
  }
}

extension Form<[String]> {
  fileprivate static let command = Form(
    expected: "a list of words, as in [\"/usr/lib/fdwatch/hooks/mail\", \"root\"]; shell = \"…\" takes a command line",
    read: { node, mistakes in
      guard case .array(let elements) = node.value, let first = elements.first else { return nil }
      let word = Form<String>(
        "a word without NUL",
        read: {
          guard case .string(let text) = $0.value, !text.contains("\0") else { return nil }
          return text
        }, text: TOMLText.quoted)
      guard let words = word.readAll(elements, in: node.key, &mistakes) else { return nil }
      guard words[0].hasPrefix("/") else {
        mistakes.append(
          Mistake(
            place: first.place,
            message: "the command \(first.shown) is no absolute path; expected one that begins with \"/\""))
        return nil
      }
      return words
    }, text: { "[" + $0.map(TOMLText.quoted).joined(separator: ", ") + "]" })
}

extension Form<HookSettings.Priority> {
  fileprivate static let priority = word([
    "crit": .crit, "err": .err, "warning": .warning, "notice": .notice, "info": .info,
  ])
}

extension Form {
  /// Some of the words of an enumeration.
  fileprivate static func set<Word>() -> Form
  where Value == Set<Word>, Word: RawRepresentable<String> & CaseIterable & Equatable & Sendable {
    let list = Form<[Word]>.list(of: .word())
    let words = Word.allCases.map { TOMLText.quoted($0.rawValue) }.joined(separator: ", ")
    return Form(
      expected: "a list of at least one of \(words)",
      read: { node, mistakes in
        guard let found = list.read(node, &mistakes), !found.isEmpty else { return nil }
        return Set(found)
      }, text: { set in list.text(Word.allCases.filter(set.contains)) })
  }
}
