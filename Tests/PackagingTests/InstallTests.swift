// SPDX-License-Identifier: Apache-2.0
// `make install`: where things go, and what it leaves alone.

import Foundation
import TestSupport
import Testing

@Suite struct `An installation` {
  private func install(_ root: TemporaryDirectory, prefix: String) throws {
    let outcome = try ChildProcess.run(
      [Repository.path("packaging/install.sh"), Products.executable("fdwatch")],
      environment: ["DESTDIR": root.path, "PREFIX": prefix])
    try #require(outcome.status == .exited(0), "\(outcome.errors)")
  }

  @Test func `below another prefix names no place of a package's`() throws {
    let root = try TemporaryDirectory()
    try install(root, prefix: "/opt/fdwatch")
    let usr = root.path + "/opt/fdwatch"
    let found = try ChildProcess.run(
      ["grep", "-rEl", "/usr/bin/fdwatch|/usr/lib/fdwatch/(hooks|network)", usr + "/lib", usr + "/share/man"])
    #expect(found.output == "")
    let unit = try String(contentsOfFile: usr + "/lib/systemd/system/fdwatch.service", encoding: .utf8)
    #expect(unit.contains("ExecStart=/opt/fdwatch/bin/fdwatch daemon"))
    #expect(FileManager.default.isExecutableFile(atPath: usr + "/lib/fdwatch/hooks/mail"))
  }

  @Test func `brings completions that their shells can read`() throws {
    let root = try TemporaryDirectory()
    try install(root, prefix: "/usr")
    let share = root.path + "/usr/share"
    let bash = try ChildProcess.run(["bash", "-n", share + "/bash-completion/completions/fdwatch"])
    #expect(bash.status == .exited(0), "\(bash.errors)")
    let zsh = try String(contentsOfFile: share + "/zsh/site-functions/_fdwatch", encoding: .utf8)
    #expect(zsh.hasPrefix("#compdef fdwatch"))
    let fish = try String(contentsOfFile: share + "/fish/vendor_completions.d/fdwatch.fish", encoding: .utf8)
    #expect(fish.contains("complete -c 'fdwatch'"))
  }

  @Test func `leaves a configuration that is there as it is`() throws {
    let root = try TemporaryDirectory()
    let file = root.path + "/etc/fdwatch/fdwatch.toml"
    try FileManager.default.createDirectory(atPath: root.path + "/etc/fdwatch", withIntermediateDirectories: true)
    try Data("interval = \"3s\"\n".utf8).write(to: URL(filePath: file))
    try install(root, prefix: "/usr")
    #expect(try String(contentsOfFile: file, encoding: .utf8) == "interval = \"3s\"\n")
  }

  @Test(arguments: ["packaging", "packaging/deb", "packaging/hooks"])
  func `has scripts that are well formed`(directory: String) throws {
    var count = 0
    for file in try Repository.files(in: directory) {
      guard let text = try? Repository.text(of: file), text.hasPrefix("#!") else { continue }
      count += 1
      // A hook and a maintainer script run where there may be no bash.
      let shell = text.hasPrefix("#!/bin/sh\n") ? "sh" : "bash"
      let verdict = try ChildProcess.run([shell, "-n", Repository.path(file)])
      #expect(verdict.status == .exited(0), "\(file): \(verdict.errors)")
    }
    #expect(count > 0)
  }
}
