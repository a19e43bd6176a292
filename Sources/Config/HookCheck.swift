// SPDX-License-Identifier: Apache-2.0
// Hooks that could not be started on this system: found before there is an alert to be delivered.

import Descriptors
import Linux

extension LoadedConfiguration {
  /// Commands that are not there or may not be executed, and users that do not exist. Not a part of loading: the daemon's
  /// sandbox hides places in which hooks, which it does not bind, find their commands.
  ///
  /// - Parameter root: stands before all paths. Users are those of the running system: they are not looked up for another.
  package func hookMistakes(root: String = "") -> [ConfigProblem] {
    var mistakes: [ConfigProblem] = []
    for (index, hook) in configuration.hooks.enumerated() {
      func add(_ key: String, _ message: String) {
        let source = origins.first { $0.key == "hook[\(index)].\(key)" }?.source
        mistakes.append(
          ConfigProblem(
            path: source?.path ?? "", line: source?.line ?? 0, column: 1, message: "hook \(hook.name): \(message)",
            isError: true))
      }
      if case .command(let words) = hook.action, let command = words.first {
        switch Files.executable(root + command) {
        case .ready: break
        case .missing: add("command", "command not found: \(command.printable)")
        case .notExecutable: add("command", "command is not an executable file: \(command.printable)")
        }
      }
      if root.isEmpty, let user = hook.user, HostUser(named: user) == nil {
        add("user", "no such user: \(user.printable)")
      }
    }
    return mistakes
  }
}
