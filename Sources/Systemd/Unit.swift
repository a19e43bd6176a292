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
}
