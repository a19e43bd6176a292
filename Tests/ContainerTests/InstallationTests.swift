// SPDX-License-Identifier: Apache-2.0
// The package, installed, upgraded and purged where a real systemd runs.

import Foundation
import TestSupport
import Testing

private let obstacle = SystemdContainer.obstacle ?? DebianPackage.obstacle
private let needsContainer = Comment(rawValue: "cannot boot a container with the package: \(obstacle ?? "")")

@Suite(.enabled(if: obstacle == nil, needsContainer), .serialized) struct `The Debian package` {
  @Test func `installs what it promises, and purged leaves nothing`() throws {
    let container = try SystemdContainer()
    let before = try container.files()
    let units = try container.output(of: "systemctl", "list-unit-files", "--no-legend")
    try container.install(try DebianPackage())

    for unit in ["fdwatch.service", "fdwatch.socket", "fdwatch-report.socket", "fdwatch-parse.socket"] {
      #expect(try container.output(of: "systemctl", "is-enabled", unit) == "enabled\n", "\(unit)")
    }
    #expect(try container.output(of: "fdwatch", "--version").hasPrefix("0."))
    let added = try container.files().subtracting(before)
    for path in [
      "/usr/bin/fdwatch", "/usr/lib/fdwatch/hooks/mail", "/usr/lib/systemd/system/fdwatch.service",
      "/usr/share/man/man1/fdwatch.1.gz", "/etc/fdwatch/fdwatch.d", "/etc/fdwatch/fdwatch.toml",
    ] {
      #expect(added.contains(path), "\(path)")
    }
    let catalog = try container.output(of: "journalctl", "--dump-catalog", "f80c5fad4bca4abfab75624beaafb344")
    #expect(catalog.contains("Defined-By: fdwatch"))

    // The configuration that is shipped is a good one: one line, and no warning.
    let check = try container.output(of: "fdwatch", "check-config")
    #expect(check.hasPrefix("ok: /etc/fdwatch/fdwatch.toml") && check.split(separator: "\n").count == 1, "\(check)")

    // It runs, and what it has kept goes as well.
    #expect(try container.output(of: "fdwatch", "status").contains("init.scope"))
    try container.shell("mkdir -p /var/lib/fdwatch/evidence/1 && touch /var/lib/fdwatch/alerts.json")
    try container.output(of: "dpkg", "--purge", "fdwatch")
    let left = try container.files().subtracting(before)
    #expect(left.sorted() == [])
    #expect(try container.output(of: "systemctl", "list-unit-files", "--no-legend") == units)
    #expect(try container.output(of: "sh", "-c", "ls /run | grep fdwatch || :") == "")
    #expect(try container.run(["journalctl", "--dump-catalog", "f80c5fad4bca4abfab75624beaafb344"]).output == "")
  }

  @Test func `can be upgraded, and heeds what was disabled and configured`() throws {
    let container = try SystemdContainer()
    try container.install(try DebianPackage())
    try container.output(of: "systemctl", "disable", "--now", "fdwatch.service")
    try container.shell("echo '# mine' | tee /etc/fdwatch/fdwatch.d/mine.toml >>/etc/fdwatch/fdwatch.toml")
    try container.install(try DebianPackage(revision: 2))
    #expect(try container.output(of: "dpkg-query", "-W", "-f", "${Version}", "fdwatch").hasSuffix("-2"))
    // Its sockets were disabled with it.
    for unit in ["fdwatch.service", "fdwatch.socket", "fdwatch-report.socket", "fdwatch-parse.socket"] {
      #expect(try container.run(["systemctl", "is-enabled", unit]).output == "disabled\n", "\(unit)")
    }
    #expect(try container.run(["systemctl", "is-active", "fdwatch.service"]).output != "active\n")
    #expect(try container.output(of: "cat", "/etc/fdwatch/fdwatch.d/mine.toml") == "# mine\n")
    #expect(try container.output(of: "tail", "-n", "1", "/etc/fdwatch/fdwatch.toml") == "# mine\n")
    // Removed, it keeps its configuration; the unit is gone.
    try container.output(of: "dpkg", "--remove", "fdwatch")
    #expect(try container.run(["systemctl", "cat", "fdwatch.service"]).status != .exited(0))
    try container.output(of: "dpkg", "--purge", "fdwatch")
  }

  @Test func `leaves the daemon little to be exposed by`() throws {
    let container = try SystemdContainer()
    try container.install(try DebianPackage())
    #expect(try container.exposure(of: "fdwatch.service") <= 1.5)
    // Not more than a little above it with what profiles over TCP need.
    try container.shell(
      """
      mkdir -p /etc/systemd/system/fdwatch.service.d
      ln -s /usr/lib/fdwatch/network.conf /etc/systemd/system/fdwatch.service.d/
      systemctl daemon-reload
      """)
    #expect(try container.exposure(of: "fdwatch.service") <= 2.2)
  }

  @Test func `has sockets that systemd listens on`() throws {
    let container = try SystemdContainer()
    try container.install(try DebianPackage())
    for unit in ["fdwatch.socket", "fdwatch-report.socket"] {
      #expect(try container.output(of: "systemctl", "show", "--value", "--property=SubState", unit) == "running\n")
    }
    #expect(try container.output(of: "stat", "-c", "%a %F", "/run/fdwatch/fdwatch.sock") == "660 socket\n")
    #expect(try container.output(of: "stat", "-c", "%a %F", "/run/fdwatch/report.sock") == "666 socket\n")
  }

  @Test func `can be installed where no systemd runs`() throws {
    let container = try SystemdContainer()
    let package = try DebianPackage()
    try container.copy(package.path, to: "/root/fdwatch.deb")
    // Such as in an image's build: there /run is another one.
    try container.shell("unshare --mount sh -ec 'mount -t tmpfs tmpfs /run; dpkg --install /root/fdwatch.deb'")
    #expect(try container.output(of: "fdwatch", "--version").hasPrefix("0."))
    try container.shell("unshare --mount sh -ec 'mount -t tmpfs tmpfs /run; dpkg --purge fdwatch'")
  }
}

@Suite(
  .enabled(if: DebianPackage.obstacle == nil, "no package: \(DebianPackage.obstacle ?? "")"),
  .enabled(if: Machine.canRun("lintian", "--version"), "needs lintian (Debian: lintian)"))
struct `The Debian package's contents` {
  @Test func `have no errors by lintian`() throws {
    let package = try DebianPackage(compression: "xz")
    let verdict = try ChildProcess.run(["lintian", "--allow-root", "--fail-on", "error", package.path])
    #expect(verdict.status == .exited(0), "\(verdict.output)\(verdict.errors)")
  }

  @Test func `are the same when they are built again`() throws {
    let (first, second) = (try DebianPackage(), try DebianPackage())
    let bytes = try Data(contentsOf: URL(filePath: first.path))
    #expect(bytes.count > 1_000_000)
    #expect(try Data(contentsOf: URL(filePath: second.path)) == bytes)
  }
}

extension SystemdContainer {
  /// What `systemd-analyze security` says of a unit: from 0 to 10.
  fileprivate func exposure(of unit: String) throws -> Double {
    let line = try output(of: "systemd-analyze", "security", unit).split(separator: "\n").last ?? ""
    guard let number = line.split(separator: " ").lazy.compactMap({ Double($0) }).first else {
      throw TestFailure("no exposure in: \(line)")
    }
    return number
  }
}
