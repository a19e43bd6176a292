// SPDX-License-Identifier: Apache-2.0
// Where the profiles of watched processes are: what whoever runs fdwatch says, and what their owners say.

import Attribution
import Linux
import Parsing
import Pprof
import Procfs
import Profiles
import Synchronization
import Systemd

/// What is asked for profiles, and how their stacks are read.
package struct Profiling: Sendable {
  /// As they were written, `{pid}` and all.
  package var addresses: [String] = []
  package var options = ProfileOptions()
  package var limits = ProfileLimits()
  /// Look among the process's own listening sockets.
  package var discover = false
  /// Heed what the unit of a process, or its environment, says.
  package var heedsOwners = true
  package var filter = FrameFilter()
  /// What units say, remembered where many processes are watched.
  package var units = UnitSettingsCache()
  /// Read the table that a process keeps by LeakProfile. It is not asked for it.
  package var readsTables = true
  /// Trace who opens its descriptors, and when; never if `nil`. Takes capabilities that the daemon has not.
  package var openers: OpenerMode?
  /// What reads profiles and tables.
  package var parser = Parser.forked
  /// What is kept of profiles, of all processes together.
  package var retention = ProfileRetention()

  package init() {}

  /// No profiles at all.
  package static let none: Profiling = {
    var none = Profiling()
    none.heedsOwners = false
    none.readsTables = false
    return none
  }()

  /// The name of the variable that a program's owner sets.
  package static let variable = "FDWATCH_PROFILE"

  /// Whether the owner of a process has named a profile, or asked to look for one.
  package func isNamed(by process: borrowing ProcessDirectory, unit: String?) -> Bool {
    if let unit = unit.map({ units.settings(of: $0) }), !unit.profiles.isEmpty || unit.discover { return true }
    return Self.environment(of: process) != nil
  }

  /// What the environment of a process names, where it is its own: a set-user-ID program has that of a stranger.
  private static func environment(of process: borrowing ProcessDirectory) -> String? {
    guard let text = process.environment(variable), process.speaksForItself else { return nil }
    return text
  }

  /// - Parameter notes: what is wrong with what the owner wrote.
  func keeper(
    of process: borrowing ProcessDirectory, _ identity: ProcessIdentity, notes: inout [String]
  ) -> ProfileKeeper? {
    var sources: [ProfileSource] = []
    func add(_ text: String, _ options: ProfileOptions, _ origin: ProfileSource.Origin) {
      do {
        let address = try ProfileAddress(parsing: text, pid: identity.pid)
        if origin != .user, case .file(let path) = address.place, Glob.isPattern(path) {
          throw ProfileError.unknownSource(
            text, reason: "a pattern is for those who run fdwatch; an owner names one file exactly")
        }
        sources.append(ProfileSource(address, options: options, origin: origin))
      } catch {
        notes.append("\(error)")
      }
    }
    for text in addresses { add(text, options, .user) }
    var discover = discover
    if sources.isEmpty, heedsOwners {
      let unit = Unit.name(of: identity.pid).map { units.settings(of: $0) }
      for text in unit?.profiles ?? [] { add(text, unit.map { ProfileOptions($0) } ?? options, .unit) }
      if unit?.discover == true { discover = true }
      if sources.isEmpty, let text = Self.environment(of: process) { add(text, options, .environment) }
    }
    if sources.isEmpty, !discover { return nil }
    return ProfileKeeper(
      sources, discover: discover ? options : nil, limits: limits, parser: parser)
  }
}

extension Profiling {
  /// What reads its table, should it have one.
  func tables(of process: ProcessKey, _ owner: ProcessOwner) -> TableKeeper? {
    readsTables ? TableKeeper(process, owner: owner, parser: parser) : nil
  }
}

extension ProfileOptions {
  fileprivate init(_ unit: UnitSettings) {
    self.init()
    (headers, tokenFile, caFile) = (unit.headers, unit.tokenFile, unit.caFile)
  }
}

/// What units say, read once each: a unit of a thousand workers has one file.
package final class UnitSettingsCache: Sendable {
  private let known = Mutex<[String: UnitSettings]>([:])

  package init() {}

  func settings(of unit: String) -> UnitSettings {
    if let settings = known.withLock({ $0[unit] }) { return settings }
    let settings = UnitSettings(of: unit)
    known.withLock { $0[unit] = settings }
    return settings
  }
}
