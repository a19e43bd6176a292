// SPDX-License-Identifier: Apache-2.0
// Where an installed daemon keeps its things. See systemd.exec(5), "StateDirectory=", and file-hierarchy(7).

import Linux

package struct DaemonPaths: Sendable, Equatable {
  /// `fdwatch.sock`, `report.sock`: gone with a restart of the machine.
  package var runtime: String
  /// What is known of processes and alerts, silences, evidence.
  package var state: String
  /// The main file of the configuration, where it is not the usual one.
  package var configuration: String?
  /// Stands before the folders of drop-ins.
  package var root = ""
  package var procfs = "/proc"

  /// systemd's word where it runs us, else the usual places.
  package init(runtime: String? = nil, state: String? = nil) {
    // Several folders are separated by colons: the first is ours.
    func first(_ name: String) -> String? {
      Host.environment(name).flatMap { $0.split(separator: ":").first.map(String.init) }
    }
    self.runtime = runtime ?? first("RUNTIME_DIRECTORY") ?? "/run/fdwatch"
    self.state = state ?? first("STATE_DIRECTORY") ?? "/var/lib/fdwatch"
  }

  package var socket: String { runtime + "/fdwatch.sock" }
  /// Of the helper that reads foreign files, where systemd listens for it.
  package var parserSocket: String { runtime + "/parse.sock" }
  package var reportSocket: String { runtime + "/report.sock" }
  /// Held by the daemon that uses the folder.
  static let lock = "/lock"
  package var evidence: String { state + "/evidence" }
}
