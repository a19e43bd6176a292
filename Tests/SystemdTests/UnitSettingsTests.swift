// SPDX-License-Identifier: Apache-2.0
// What a unit says to fdwatch, in the files where systemd would look for it.

import Foundation
import Systemd
import TestSupport
import Testing

@Suite struct `A unit's settings for fdwatch` {
  private let root: TemporaryDirectory

  init() throws { root = try TemporaryDirectory() }

  private func write(_ text: String, _ path: String) throws {
    let file = URL(fileURLWithPath: root.path + path)
    try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try text.write(to: file, atomically: false, encoding: .utf8)
  }

  @Test func `are in a section of their own`() throws {
    try write(
      """
      [Service]
      Profile=not ours
      [X-Fdwatch]
      # where it is
      Profile = unix:/run/app.sock /debug/pprof/file
      ProfileHeader=X-Key: a=b
      ProfileTokenFile=/etc/app/token
      ProfileCA=/etc/app/ca.pem
      Discover=yes
      [Install]
      Profile=neither
      """, "/usr/lib/systemd/system/app.service")
    let settings = UnitSettings(of: "app.service", root: root.path)
    #expect(settings.profiles == ["unix:/run/app.sock /debug/pprof/file"])
    #expect(settings.headers == ["X-Key: a=b"])
    #expect((settings.tokenFile, settings.caFile) == ("/etc/app/token", "/etc/app/ca.pem"))
    #expect(settings.discover)
  }

  @Test func `follow systemd's order of files, and take back what was said`() throws {
    try write("[X-Fdwatch]\nProfile=/vendor\n", "/usr/lib/systemd/system/app@.service")
    try write("[X-Fdwatch]\nProfile=/administrator\n", "/etc/systemd/system/app@.service")
    try write("[X-Fdwatch]\nProfile=/more\n", "/usr/lib/systemd/system/app@.service.d/20-more.conf")
    try write("[X-Fdwatch]\nProfile=\nProfile=/only\n", "/etc/systemd/system/app@blue.service.d/30-only.conf")
    #expect(UnitSettings(of: "app@green.service", root: root.path).profiles == ["/administrator", "/more"])
    #expect(UnitSettings(of: "app@blue.service", root: root.path).profiles == ["/only"])
  }

  @Test(arguments: ["none.service", "../../etc/passwd", "", "@.", "a@b@c"])
  func `are none where there is no file`(unit: String) {
    #expect(UnitSettings(of: unit, root: root.path) == UnitSettings(of: "nothing.service", root: root.path))
  }
}
