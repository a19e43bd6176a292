// SPDX-License-Identifier: Apache-2.0
// [[watch]] and [[ignore]]: which processes, and what is different with them.

import Profiles

/// What holds for the processes that it selects. What it does not say is as in the ``Configuration``.
package struct WatchRule: Sendable, Equatable {
  package var selector = Selector()
  package var interval: Duration?
  package var sensitivity: Sensitivity?
  /// Where their profiles are, as `fdwatch watch --profile` takes them; `{pid}` stands for the number.
  package var profiles: [String] = []
  package var profileHeaders: [String] = []
  package var profileTokenFile: String?
  package var profileCA: String?
  package var discover: Bool?
  /// Names of hooks. `nil`: all whose filters let an alert pass.
  package var hooks: [String]?
  package var labels: [String: String] = [:]
  /// Beside those of the ``Configuration``.
  package var skipFrames: [String] = []

  package init() {}
}

extension WatchRule {
  static let schema = Schema<WatchRule>(
    Selector.schema.fields.map { Field($0, of: \WatchRule.selector) } + [
      Field("interval", \.interval, optional: .time(.milliseconds(250) ... .seconds(3600))),
      Field("sensitivity", \.sensitivity, optional: .word()),
      Field("profile", \.profiles, Form.list(of: .profile).unlessEmpty),
      Field("profile_headers", \.profileHeaders, Form.list(of: .header).unlessEmpty),
      Field("profile_token_file", \.profileTokenFile, optional: .path),
      Field("profile_ca", \.profileCA, optional: .path),
      Field("discover", \.discover, optional: .boolean),
      Field("hooks", \.hooks, optional: .list(of: .string("the name of a hook"))),
      Field("skip_frames", \.skipFrames, Form.list(of: .pattern).unlessEmpty),
      Field(labels: "labels", \.labels, emptyText: nil),
    ])
}

extension Form where Value: Collection {
  /// For what is not written where it is empty.
  var unlessEmpty: Form { Form(expected: expected, read: read, text: { $0.isEmpty ? nil : text($0) }) }
}

extension Form<String> {
  fileprivate static let profile = Form(
    expected: "a source of profiles, as in \"http://127.0.0.1:6060/debug/pprof/file\"",
    read: { node, mistakes in
      guard let text = string("").read(node, &mistakes) else { return nil }
      do throws(ProfileError) {
        _ = try ProfileAddress(parsing: text, pid: 1)
        return text
      } catch {
        guard case .unknownSource(_, let reason) = error else { return nil }
        mistakes.append(
          Mistake(
            place: node.place,
            message: "\(node.shown) is no source of profiles: \(reason); expected http://HOST:PORT/PATH, "
              + "unix:/SOCKET:/PATH, or the path of a file"))
        return nil
      }
    }, text: TOMLText.quoted)

  fileprivate static let header = string("a header, as in \"X-Key: abc\"") {
    $0.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).first.map {
      !$0.isEmpty && !$0.contains(" ")
    } == true && $0.contains(":")
  }
}
