// SPDX-License-Identifier: Apache-2.0
// What `make test` installs is there where every change is tested: no test is skipped there for want of it.

import Foundation
import TestSupport
import Testing

private let onCI = ProcessInfo.processInfo.environment["CI"] == "true"

@Suite(.enabled(if: onCI, "a machine of one's own may lack something: then tests are skipped, and say so"))
struct `In continuous integration` {
  @Test(
    arguments: [
      "systemd-nspawn", "systemd-analyze", "dbus-daemon", "dpkg-shlibdeps", "lintian", "mandoc", "promtool", "curl",
    ])
  func `there is`(command: String) throws {
    #expect(Machine.canRun("sh", "-c", "command -v \(command)"), "install-deps.sh brings it")
  }

  @Test func `there is a release to make a package of`() {
    #expect(DebianPackage.obstacle == nil)
  }
}
