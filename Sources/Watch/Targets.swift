// SPDX-License-Identifier: Apache-2.0
// Which processes are meant: by number, by name, by unit.

import Linux
import Procfs
import Systemd

/// What a person names to be watched.
package enum TargetSelector: Sendable, Equatable {
  case pid(Int32)
  /// All processes whose `comm` is this.
  case command(String)
  /// All processes of a systemd unit.
  case unit(String)
}

extension Procfs {
  /// The processes that a selector names, in the order of their numbers. Our own is never among those found by name.
  package func processes(matching selector: TargetSelector) throws(SystemCallError) -> [Int32] {
    switch selector {
    case .pid(let pid): return [pid]
    case .command(let name):
      return try processes { (try? ProcessDirectory(pid: $0, in: self).identity().command) == name }
    case .unit(let name):
      let wanted = Unit.named(name)
      return try processes { Unit.name(of: $0) == wanted }
    }
  }

  private func processes(where isWanted: (Int32) -> Bool) throws(SystemCallError) -> [Int32] {
    let own = Host.ownPID
    return try processes().filter { $0 != own && isWanted($0) }.sorted()
  }
}
