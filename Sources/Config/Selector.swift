// SPDX-License-Identifier: Apache-2.0
// Which processes a rule is about.

import Systemd

/// Names processes by globs. All that is given must fit.
package struct Selector: Sendable, Equatable {
  /// The systemd unit; `nginx` is `nginx.service`.
  package var unit: String?
  /// The path of the control group, as in `/proc/PID/cgroup`.
  package var cgroup: String?
  /// The name of the user, or his number.
  package var user: String?
  /// The path of the executable.
  package var exe: String?
  /// The name, as `ps -o comm` shows it.
  package var comm: String?
  /// The words of the command line, with a blank between them.
  package var cmdline: String?
  /// A file that holds the number of the process.
  package var pidfile: String?
  package var all = false

  package init() {}
}

extension Selector {
  /// - Parameter pidIn: the number that a pid file holds. Asked last, and only if the rest fits.
  package func matches(_ facts: ProcessFacts, pidIn: (String) -> Int32? = { _ in nil }) -> Bool {
    guard saysSomething else { return false }
    func fits(_ pattern: String?, _ fact: String?) -> Bool {
      guard let pattern else { return true }
      return fact.map { Pattern.matches(pattern, $0) } ?? false
    }
    return fits(comm, facts.comm) && fits(unit.map(Self.completed), facts.unit)
      && (fits(user, facts.user) || fits(user, facts.uid.map { String($0) })) && fits(exe, facts.exe)
      && fits(cgroup, facts.cgroup) && fits(cmdline, facts.cmdline) && (pidfile.map { pidIn($0) == facts.pid } ?? true)
  }

  var saysSomething: Bool { all || !facts.isEmpty || pidfile != nil }

  /// What must be known of a process to tell whether it is meant.
  var facts: Set<ProcessFacts.Name> {
    let asked: [(ProcessFacts.Name, String?)] = [
      (.unit, unit), (.cgroup, cgroup), (.user, user), (.exe, exe), (.comm, comm), (.cmdline, cmdline),
    ]
    return Set(asked.compactMap { $1 == nil ? nil : $0 })
  }

  /// Whether a stranger's process cannot fit: who starts units, and as whom a process runs, is up to root.
  ///
  /// Any user can give a process a name or arguments, write a pid file of its own, and run any executable that it may read,
  /// with a debugger attached.
  var excludesStrangers: Bool {
    if let user, Pattern.isPlain(user) { return true }
    // Users have control groups of their own elsewhere: user.slice.
    if cgroup?.hasPrefix("/system.slice/") == true { return true }
    guard let unit = unit.map(Self.completed) else { return false }
    // Units that are made for each user, and in which users start what they like.
    let unitsOfUsers = [
      ["user@1000.service", "user@1001.service"], ["session-1.scope", "session-2.scope"],
      ["session-c1.scope", "session-c2.scope"],
    ]
    return !unitsOfUsers.contains { $0.allSatisfy { Pattern.matches(unit, $0) } }
  }

  private static func completed(_ unit: String) -> String { Pattern.isPlain(unit) ? Unit.named(unit) : unit }
}

extension Selector {
  static let schema = Schema<Selector>([
    Field("unit", \.unit, optional: .pattern),
    Field("cgroup", \.cgroup, optional: .pattern),
    Field("user", \.user, optional: .pattern),
    Field("exe", \.exe, optional: .pattern),
    Field("comm", \.comm, optional: .pattern),
    Field("cmdline", \.cmdline, optional: .pattern),
    Field("pidfile", \.pidfile, optional: .path),
    Field("all", \.all, .flag),
  ])

  static let keys = schema.fields.map(\.name)
}
