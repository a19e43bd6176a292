// SPDX-License-Identifier: Apache-2.0
// Services whose workers leak, stopped, started anew and recycled by a real systemd.

import Foundation
import TestSupport
import Testing

private let obstacle = SystemdContainer.obstacle ?? DebianPackage.obstacle
private let needsContainer = Comment(rawValue: "cannot boot a container with the package: \(obstacle ?? "")")

@Suite(.enabled(if: obstacle == nil, needsContainer), .serialized) struct `A service with workers` {
  /// In `bash`, for it is everywhere.
  static let files = #"""
    mkdir -p /etc/fdwatch/fdwatch.d /srv/spool
    put() { cat >"$1"; chmod "${2:-644}" "$1"; }
    put /usr/local/bin/prefork 755 <<'END'
    #!/bin/bash
    # prefork COUNT FILES: keeps so many workers. Each opens so many files that bear its pid, one every 2.5 seconds; then it
    # exits and is replaced. With 0 for FILES it opens one file twenty times a second, for ever.
    exec 3<> <(:)
    work() {
      trap - TERM
      for ((n = 1; FILES == 0 || n <= FILES; n++)); do
        if ((FILES == 0)); then
          exec {fd}<>/srv/spool/together && read -rt 0.05 -u 3
        else
          exec {fd}<>"/srv/spool/leak-$BASHPID-$n" && read -rt 2.5 -u 3
        fi
      done
    }
    COUNT=$1 FILES=$2
    trap 'kill $(jobs -p); exit' TERM
    for ((w = 0; w < COUNT; w++)); do work & done
    while :; do wait -n; work & done
    END
    for name in together recycled; do
      put /etc/systemd/system/$name.service <<END
    [Service]
    ExecStart=/usr/local/bin/prefork $([ $name = together ] && echo 6 0 || echo 3 10)
    LimitNOFILE=4096
    END
    done
    put /etc/fdwatch/fdwatch.d/10-quick.toml <<'END'
    interval = "500ms"
    sensitivity = "high"
    cpu_budget = 50
    END
    """#

  private func entries(_ container: SystemdContainer, _ matches: String...) throws -> [Entry] {
    let outcome = try container.run(["journalctl", "--output=json", "--all", "--quiet"] + matches)
    return try outcome.output.split(separator: "\n").map { line in
      let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] ?? [:]
      return object.mapValues { "\($0)" }
    }
  }

  private func eventually(_ what: String, _ isSo: () throws -> Bool) throws {
    let deadline = ContinuousClock.now + .seconds(600)
    while try !isSo() {
      if ContinuousClock.now > deadline { throw TestFailure("it is never so: \(what)") }
    }
  }

  @Test func `has no leak any more once it was stopped or started anew, and each new one is told`() throws {
    let container = try SystemdContainer()
    try container.shell(Self.files)
    try container.install(try DebianPackage())
    let unit = "FDWATCH_UNIT=together.service"
    try container.output(of: "systemctl", "start", "together.service")
    // As a hook that restarts it does: the third and fourth time within an hour is as good as the first.
    for turn in 1...4 {
      try eventually("alert \(turn) is told") { try entries(container, unit, "FDWATCH_EVENT=alert").count >= turn }
      try container.output(of: "systemctl", turn < 4 ? "restart" : "stop", "together.service")
      try eventually("end \(turn) is told") { try entries(container, unit, "FDWATCH_EVENT=resolved").count >= turn }
    }
    let alerts = try entries(container, unit, "FDWATCH_EVENT=alert")
    #expect(Set(alerts.compactMap { $0["FDWATCH_ALERT_ID"] }).count >= 4)
    #expect(alerts.allSatisfy { $0["FDWATCH_PID"] != nil }, "none is of workers that were recycled: \(alerts)")
    let status = try container.run(["fdwatch", "status", "--format", "json"]).output
    #expect(!status.contains("together.service"), "\(status)")
  }

  @Test func `of which each leaks ten files by its own name, and is replaced, leaks`() throws {
    let container = try SystemdContainer()
    try container.shell(Self.files)
    try container.install(try DebianPackage())
    try container.output(of: "systemctl", "start", "recycled.service")
    let unit = "FDWATCH_UNIT=recycled.service"
    try eventually("it is told") { try !entries(container, unit, "FDWATCH_EVENT=alert").isEmpty }
    let alert = try #require(try entries(container, unit, "FDWATCH_EVENT=alert").first)
    #expect(alert["FDWATCH_TARGET"] == "/srv/spool/leak-*-*" && alert["FDWATCH_PID"] == nil, "\(alert)")
    try container.output(of: "systemctl", "stop", "recycled.service")
    try eventually("its end is told") { try !entries(container, unit, "FDWATCH_EVENT=resolved").isEmpty }
  }
}
