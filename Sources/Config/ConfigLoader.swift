// SPDX-License-Identifier: Apache-2.0
// From files to one configuration: later values win, rules and hooks add up.

import Descriptors
import Linux

struct ConfigLoader {
  /// A rule or a hook, and where it and its keys stand.
  private struct Placed<Value> {
    var value: Value
    var source: Source
    var sources: Sources
  }

  private var configuration = Configuration()
  private var sources: Sources = [:]
  /// One list for each file.
  private var watch: [[Placed<WatchRule>]] = []
  private var ignore: [Placed<Selector>] = []
  private var hooks: [Placed<HookSettings>] = []
  /// Names of hooks that rules speak of.
  private var hooksAsked: [(name: String, path: String, place: Place)] = []
  /// Hooks that are not whole are there all the same, for who speaks of them.
  private var hookNames: [String: Source] = [:]
  private var problems: [ConfigProblem] = []
  private var files: [String] = []

  // MARK: Files

  mutating func read(_ path: String, mayBeMissing: Bool) {
    do throws(SystemCallError) {
      read(try Descriptor(regularFile: path).contents(limit: TOMLError.mostBytes), path: path)
    } catch {
      if mayBeMissing, error.meaning == .noSuchEntry { return }
      let isTooLarge = error.errno == SystemCallError.tooLarge
      complain(path, isTooLarge ? "has more than 1 MiB; expected less" : "cannot be read: \(error.reason)")
    }
  }

  mutating func complain(_ path: String, _ message: String) {
    problems.append(ConfigProblem(path: path, line: 0, column: 0, message: message, isError: true))
  }

  mutating func read(_ text: [UInt8], path: String) {
    files.append(path)
    watch.append([])
    do throws(TOMLError) {
      let members = try TOMLNode.members(of: text)
      var mistakes: [Mistake] = []
      Configuration.schema.read(members, into: &configuration, &sources, path: path, &mistakes)
      for node in members {
        switch node.key {
        case "watch": for rule in tables(node, &mistakes) { readWatch(rule, path, &mistakes) }
        case "ignore": for rule in tables(node, &mistakes) { readIgnore(rule, path, &mistakes) }
        case "hook": for hook in tables(node, &mistakes) { readHook(hook, path, &mistakes) }
        default: continue
        }
      }
      add(mistakes, path)
    } catch {
      add([Mistake(place: error.place, message: error.what.printableButBackslashes)], path)
    }
  }

  private mutating func add(_ mistakes: [Mistake], _ path: String) {
    problems += mistakes.map {
      ConfigProblem(
        path: path, line: $0.place.line, column: $0.place.column, message: $0.message, isError: $0.isError)
    }
  }

  // MARK: Rules and hooks

  /// The tables of `[[watch]]` and its like.
  private func tables(_ node: TOMLNode, _ mistakes: inout [Mistake]) -> [(place: Place, members: [TOMLNode])] {
    guard case .array(let elements) = node.value else {
      mistakes.append(
        Mistake(place: node.place, message: "\(node.key) cannot be \(node.shown); expected tables, [[\(node.key)]]"))
      return []
    }
    return elements.compactMap { element in
      if case .table(let members) = element.value { return (element.place, members) }
      mistakes.append(
        Mistake(
          place: element.place,
          message: "an element of \(node.key) cannot be \(element.shown); expected a table, [[\(node.key)]]"))
      return nil
    }
  }

  private mutating func readWatch(
    _ table: (place: Place, members: [TOMLNode]), _ path: String, _ mistakes: inout [Mistake]
  ) {
    var rule = WatchRule()
    var sources: Sources = [:]
    WatchRule.schema.read(table.members, into: &rule, &sources, path: path, &mistakes)
    checkSelects(rule.selector, table, &mistakes)
    keepSecrets(of: &rule, table, &mistakes)
    for node in table.members where node.key == "hooks" && rule.hooks != nil {
      let elements = if case .array(let elements) = node.value { elements } else { [node] }
      for element in elements {
        if case .string(let name) = element.value { hooksAsked.append((name, path, element.place)) }
      }
    }
    watch[watch.count - 1].append(
      Placed(value: rule, source: Source(path: path, line: table.place.line), sources: sources))
  }

  /// A token, or a header that may be one, is for processes that nobody else can pass a process off as.
  private func keepSecrets(
    of rule: inout WatchRule, _ table: (place: Place, members: [TOMLNode]), _ mistakes: inout [Mistake]
  ) {
    guard !rule.selector.excludesStrangers else { return }
    // What could not be read was told of.
    let found = [
      "profile_headers": !rule.profileHeaders.isEmpty, "profile_token_file": rule.profileTokenFile != nil,
    ]
    for node in table.members where found[node.key] == true {
      mistakes.append(
        .warning(
          node.keyPlace,
          "\(node.key) is not sent: any user can start a process that fits this rule; expected user = \"NAME\", or a unit "
            + "that no user can start, beside it"))
    }
    (rule.profileHeaders, rule.profileTokenFile) = ([], nil)
  }

  private mutating func readIgnore(
    _ table: (place: Place, members: [TOMLNode]), _ path: String, _ mistakes: inout [Mistake]
  ) {
    var selector = Selector()
    var sources: Sources = [:]
    Selector.schema.read(table.members, into: &selector, &sources, path: path, &mistakes)
    checkSelects(selector, table, &mistakes)
    ignore.append(Placed(value: selector, source: Source(path: path, line: table.place.line), sources: sources))
  }

  private func checkSelects(
    _ selector: Selector, _ table: (place: Place, members: [TOMLNode]), _ mistakes: inout [Mistake]
  ) {
    // A selector that could not be read was told of.
    let isTold = table.members.contains { $0.key != "all" && Selector.keys.contains($0.key) }
    guard !selector.saysSomething, !isTold else { return }
    let keys = Selector.keys.dropLast().joined(separator: ", ")
    mistakes.append(
      Mistake(place: table.place, message: "the rule selects nothing; expected one of \(keys), or all = true"))
  }

  private mutating func readHook(
    _ table: (place: Place, members: [TOMLNode]), _ path: String, _ mistakes: inout [Mistake]
  ) {
    var draft = HookDraft()
    var sources: Sources = [:]
    HookDraft.schema.read(table.members, into: &draft, &sources, path: path, &mistakes)
    if let name = draft.name, let node = table.members.first(where: { $0.key == "name" }) {
      if let first = hookNames[name] {
        mistakes.append(
          Mistake(
            place: node.place,
            message: "there is a hook \(TOMLText.quoted(name)) already, at \(first.description.printable); "
              + "expected a name of its own"))
      } else {
        hookNames[name] = Source(path: path, line: node.place.line)
      }
    }
    guard let hook = draft.finished(table.members, at: table.place, &mistakes) else { return }
    hooks.append(Placed(value: hook, source: Source(path: path, line: table.place.line), sources: sources))
  }

  // MARK: The end

  mutating func finish(masked: [String]) -> LoadedConfiguration {
    for asked in hooksAsked where hookNames[asked.name] == nil {
      let known =
        hookNames.isEmpty ? "a [[hook]] of that name" : "one of " + hookNames.keys.sorted().joined(separator: ", ")
      let message = "there is no hook \(TOMLText.quoted(asked.name)); expected \(known)"
      add([Mistake(place: asked.place, message: message)], asked.path)
    }
    // A later file's rules come before those that it is to override.
    let rules = watch.reversed().flatMap { $0 }
    configuration.watch = rules.map(\.value)
    configuration.ignore = ignore.map(\.value)
    configuration.hooks = hooks.map(\.value)
    return LoadedConfiguration(
      configuration: configuration, problems: sortedProblems(), origins: origins(rules), files: files, masked: masked)
  }

  private func sortedProblems() -> [ConfigProblem] {
    let order = Dictionary(files.enumerated().map { ($1, $0) }) { first, _ in first }
    let keyed = problems.enumerated().map { index, problem in
      (key: (order[problem.path] ?? -1, problem.line, problem.column, index), problem: problem)
    }
    return keyed.sorted { $0.key < $1.key }.map(\.problem)
  }

  private func origins(_ rules: [Placed<WatchRule>]) -> [LoadedConfiguration.Origin] {
    typealias Origin = LoadedConfiguration.Origin
    func all<Owner>(_ schema: Schema<Owner>, _ owner: Owner, _ sources: Sources, within: String = "") -> [Origin] {
      schema.settings(of: owner, sources).map {
        Origin(key: within + $0.key, value: $0.value, source: $0.source)
      }
    }
    var origins = all(Configuration.schema, configuration, sources)
    for (index, rule) in ignore.enumerated() {
      origins += all(Selector.schema, rule.value, rule.sources, within: "ignore[\(index)].")
    }
    for (index, rule) in rules.enumerated() {
      origins += all(WatchRule.schema, rule.value, rule.sources, within: "watch[\(index)].")
    }
    for (index, hook) in hooks.enumerated() {
      origins += all(HookDraft.schema, HookDraft(hook.value), hook.sources, within: "hook[\(index)].")
    }
    return origins
  }
}

extension HookDraft {
  fileprivate init(_ hook: HookSettings) {
    name = hook.name
    settings = hook
    switch hook.action {
    case .command(let words): command = words
    case .shell(let line): shell = line
    case .unit(let name): unit = name
    }
  }
}

extension String {
  /// For the parser's words, in which control characters are escaped already.
  fileprivate var printableButBackslashes: String {
    unicodeScalars.map { $0 == "\\" ? "\\" : String($0).printable }.joined()
  }
}
