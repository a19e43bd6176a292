// SPDX-License-Identifier: Apache-2.0
// Which unit a process belongs to. See sd_pid_get_unit(3): it reads the process's cgroup, no systemd need run.

import CSystemd
import Glibc

/// systemd's units.
package enum Unit {
  private static let suffixes = [".service", ".scope", ".slice", ".socket", ".mount", ".swap", ".timer"]

  /// What a person means by a name: a service, unless it says otherwise. It may have dots of its own, as `php8.2-fpm` has.
  /// See systemd.unit(5).
  package static func named(_ name: String) -> String {
    suffixes.contains { name.hasSuffix($0) } ? name : name + ".service"
  }

  /// The system unit that a process belongs to, such as `nginx.service`; `nil` if to none, or if it has exited.
  package static func name(of pid: Int32) -> String? {
    var name: UnsafeMutablePointer<CChar>?
    guard unsafe sd_pid_get_unit(pid, &name) >= 0, let found = unsafe name else { return nil }
    defer { unsafe free(found) }
    return unsafe String(cString: found)
  }

  /// In whose session, or below whose own service manager, a process runs: it may have as many units there as that user
  /// likes. `nil` for a service of the system. See sd_pid_get_owner_uid(3).
  package static func sessionUser(of pid: Int32, unit: String?) -> UInt32? {
    guard let unit, unit.hasPrefix("session-") || unit.hasPrefix("user@") else { return nil }
    // The manager's unit bears the number itself: user@1000.service.
    if unit.hasPrefix("user@"), let user = UInt32(unit.dropFirst("user@".count).prefix { $0.isNumber }) { return user }
    var user: uid_t = 0
    guard unsafe sd_pid_get_owner_uid(pid, &user) >= 0 else { return nil }
    return user
  }

  /// Where the manager says which run of a unit this is.
  package static let runs = "/run/systemd/units"

  /// Which run of a unit this is: another number after each start. `nil` if it does not run, or where no systemd does.
  ///
  /// From the link that the manager keeps as long as the unit runs, at the cost of one readlink(2): no bus is needed.
  /// - Parameter folder: where the manager keeps its links.
  package static func run(of unit: String, in folder: String = Unit.runs) -> UInt64? {
    var buffer = [CChar](repeating: 0, count: 64)
    let size = unsafe readlink("\(folder)/invocation:\(unit)", &buffer, buffer.count)
    guard size >= 16 else { return nil }
    // 128 random bits, in hexadecimal: half of them will do.
    return UInt64(String(decoding: buffer.prefix(16).map { UInt8(bitPattern: $0) }, as: UTF8.self), radix: 16)
  }
}
