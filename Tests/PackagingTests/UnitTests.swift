// SPDX-License-Identifier: Apache-2.0
// The units, as systemd-analyze reads them: no systemd need run.

import Foundation
import TestSupport
import Testing

@Suite(.enabled(if: Machine.canRun("systemd-analyze", "--version"), "needs systemd-analyze (Debian: systemd)"))
struct `The units` {
  /// A root folder with all that `make install` puts there, and what the units of systemd itself are to them.
  private func installed() throws -> TemporaryDirectory {
    let root = try TemporaryDirectory()
    let install = try ChildProcess.run(
      [Repository.path("packaging/install.sh"), Products.executable("fdwatch")],
      environment: ["DESTDIR": root.path, "PREFIX": "/usr"])
    try #require(install.status == .exited(0), "\(install.errors)")
    let script = """
      cd "$1"
      if [ -d /usr/lib/systemd/system ]; then cp -Rn /usr/lib/systemd/system usr/lib/systemd/
      else cp -Rn /lib/systemd/system usr/lib/systemd/; fi
      ln -s usr/lib usr/bin .
      printf '#!/bin/sh\\n' >usr/bin/kill
      chmod 755 usr/bin/kill
      """
    let prepared = try ChildProcess.run(["sh", "-e", "-c", script, "sh", root.path])
    try #require(prepared.status == .exited(0), "\(prepared.errors)")
    return root
  }

  @Test func `have neither unknown nor malformed settings`() throws {
    let root = try installed()
    // It ends with 0 where a setting is ignored, but says so.
    let verdict = try ChildProcess.run([
      "systemd-analyze", "verify", "--man=no", "--root=\(root.path)", "fdwatch.service", "fdwatch.socket",
      "fdwatch-report.socket", "fdwatch-parse.socket", "fdwatch-parse@1-2-3.service", "fdwatch-alert@1-2-3.service",
    ])
    #expect(verdict.status == .exited(0))
    #expect(verdict.errors == "")
  }

  @Test(arguments: ["fdwatch.service", "fdwatch-parse@.service", "fdwatch-alert@.service"])
  func `leave what runs little to be exposed by`(unit: String) throws {
    let root = try installed()
    // In tenths: the command fails above it. Its version 252 says 1.3 here, and 1.2 where systemd runs.
    let verdict = try ChildProcess.run([
      "systemd-analyze", "security", "--offline=yes", "--threshold=15", "--root=\(root.path)", unit,
    ])
    #expect(verdict.status == .exited(0), "\(verdict.output.suffix(200))\(verdict.errors)")
  }
}
