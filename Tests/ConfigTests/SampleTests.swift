// SPDX-License-Identifier: Apache-2.0
// The configuration that is shipped, and the manual, against what the code knows.

import Foundation
import TestSupport
import Testing

@testable import Config

enum Sample {
  private static let packaging = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("packaging")

  static let text = read("fdwatch.toml")
  static let manual = read("man/fdwatch.toml.5")

  /// As it is after taking the sign away from each line that it makes a comment of: prose has a blank behind it.
  static let uncommented = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
    line.hasPrefix("#") && !line.hasPrefix("# ") ? String(line.dropFirst()) : String(line)
  }.joined(separator: "\n")

  static func path(_ name: String) -> String { packaging.appendingPathComponent(name).path }

  private static func read(_ name: String) -> String {
    (try? String(contentsOf: packaging.appendingPathComponent(name), encoding: .utf8)) ?? ""
  }

  /// The names of all settings, and of what rules and hooks may say.
  static let keys = Configuration.schema.fields.map(\.name)
  static let ruleKeys = Set(WatchRule.schema.fields.map(\.name) + HookDraft.schema.fields.map(\.name))
}

@Suite struct `The configuration that is shipped` {
  @Test func `says nothing`() {
    let loaded = Configuration.load(Sample.text)
    #expect(loaded.complaints == [] && loaded.configuration == Configuration())
    #expect(loaded.origins.allSatisfy { $0.origin == "default" })
  }

  @Test func `has all defaults when uncommented, and rules that are valid`() {
    let loaded = Configuration.load(Sample.uncommented)
    #expect(loaded.complaints == [])
    var configuration = loaded.configuration
    #expect(configuration.watch.count == 2 && configuration.ignore.count == 1)
    configuration.watch = []
    configuration.ignore = []
    configuration.hooks = []
    #expect(configuration == Configuration())
    // The hook of the example says what is so without a word.
    var hook = HookSettings(name: "mail", action: .command(["/usr/lib/fdwatch/hooks/mail", "root"]))
    hook.user = "nobody"
    #expect(loaded.configuration.hooks.first == hook)
  }

  @Test func `knows every key`() {
    let origins = Configuration.load(Sample.uncommented).origins.filter { $0.origin != "default" }.map(\.key)
    for key in Sample.keys { #expect(origins.contains(key), "\(key) is missing") }
    let last = Set(origins.filter { $0.contains("[") }.compactMap { $0.split(separator: ".").dropFirst().first })
    for key in Sample.ruleKeys { #expect(last.contains(Substring(key)), "\(key) is missing in rules") }
  }

  @Test func `is described in full in the manual`() {
    let terms = Set(
      Sample.manual.split(separator: "\n").filter { $0.hasPrefix(".It Ic ") }.map {
        $0.dropFirst(7).prefix { $0 != " " }
      })
    for key in Sample.keys {
      #expect(terms.contains(key.split(separator: ".").last ?? ""), "\(key) is missing")
    }
    for key in Sample.ruleKeys { #expect(terms.contains(Substring(key)), "\(key) is missing") }
    let known = Sample.ruleKeys.union(Sample.keys.compactMap { $0.split(separator: ".").last.map(String.init) })
    for term in terms { #expect(known.contains(String(term)), "\(term) is none") }
  }

  @Test func `has a manual that mandoc finds nothing wrong with`() throws {
    let lint = try ChildProcess(
      ["mandoc", "-Tlint", "-Wwarning", Sample.path("man/fdwatch.toml.5")], environment: ChildProcess.plainEnvironment)
    let outcome = try lint.finish()
    #expect(outcome.status == .exited(0) && outcome.output.isEmpty && outcome.errors.isEmpty, "\(outcome.output)")
  }
}
