// SPDX-License-Identifier: Apache-2.0
// fdwatch config and fdwatch check-config, as they are called.

import Foundation
import TestSupport
import Testing

@Suite struct `fdwatch check-config` {
  @Test func `says ok, and what it read`() throws {
    let tree = try ConfigTree([
      "/etc/fdwatch/fdwatch.toml": "[[watch]]\nall = true\n[[hook]]\nname = \"a\"\nshell = \"x\"",
      "/etc/fdwatch/fdwatch.d/1.toml": nil, "/run/fdwatch/fdwatch.d/2.toml": "intervall = 3",
    ])
    let outcome = try BuiltBinary.run(["check-config", "--root", tree.root])
    #expect(outcome.status == .exited(0))
    #expect(
      tree.short(outcome.output) == """
        /run/fdwatch/fdwatch.d/2.toml:1:1: warning: unknown key intervall; did you mean interval?
        ok: /etc/fdwatch/fdwatch.toml, /run/fdwatch/fdwatch.d/2.toml; 1 [[watch]], 1 [[hook]]; masked: /etc/fdwatch/fdwatch.d/1.toml

        """)
    #expect(outcome.errors.isEmpty)
  }

  @Test func `finds hooks whose command or user does not exist`() throws {
    let file = TemporaryFile(
      """
      [[hook]]
      name = "gone"
      command = ["/no/such/program", "x"]
      [[hook]]
      name = "folder"
      command = ["/etc"]
      [[hook]]
      name = "stranger"
      shell = "true"
      user = "no-such-user"
      [[hook]]
      name = "good"
      command = ["/bin/sh"]
      user = "root"
      """)
    let outcome = try BuiltBinary.run(["check-config", "--config", file.path])
    #expect(outcome.status == .exited(1))
    #expect(
      outcome.output == """
        \(file.path):3:1: hook gone: command not found: /no/such/program
        \(file.path):6:1: hook folder: command is not an executable file: /etc
        \(file.path):10:1: hook stranger: no such user: no-such-user

        """)
    // Of another system neither our commands nor our users: an image that is being built has neither yet.
    let tree = try ConfigTree([
      "/etc/fdwatch/fdwatch.toml": "[[hook]]\nname = \"a\"\ncommand = [\"/bin/sh\"]\nuser = \"no-such-user\""
    ])
    let other = try BuiltBinary.run(["check-config", "--root", tree.root])
    #expect(tree.short(other.output) == "/etc/fdwatch/fdwatch.toml:3:1: hook a: command not found: /bin/sh\n")
    // A reload by systemd checks in the daemon's sandbox, which hides places that hooks see.
    let reload = try BuiltBinary.run(
      ["check-config", "--config", file.path], environment: ["MAINPID": "1"])
    #expect(reload.status == .exited(0), "\(reload.output)")
  }

  @Test func `needs no file`() throws {
    let tree = try ConfigTree([:])
    let outcome = try BuiltBinary.run(["check-config", "--root", tree.root])
    #expect(outcome.status == .exited(0) && outcome.output == "ok: no file, all is as by default\n")
  }

  @Test func `tells all mistakes of the files that are named, and fails`() throws {
    let one = TemporaryFile("interval = 0\n[alerts]\nburst = 0")
    let other = TemporaryFile("x = ")
    let outcome = try BuiltBinary.run(["check-config", one.path, other.path, "/none.toml"])
    #expect(outcome.status == .exited(1))
    let lines = outcome.output.split(separator: "\n").map(String.init)
    #expect(lines.count == 4 && !outcome.output.contains("ok"))
    #expect(lines.contains("\(one.path):1:12: interval cannot be 0; expected a time from \"250ms\" to \"1h\""))
    #expect(lines.contains("\(one.path):3:9: alerts.burst cannot be 0; expected a whole number from 1 to 10000"))
    #expect(lines.contains { $0.hasPrefix("\(other.path):1:5: ") })
    #expect(lines.contains("/none.toml: cannot be read: No such file or directory"))
  }

  @Test(.enabled(if: Machine.canRunAsNobody, "takes root, setpriv(1), and a build that others may read"))
  func `names a file that may not be read, and why`() throws {
    let tree = try ConfigTree(["/etc/fdwatch/fdwatch.toml": "", "/etc/fdwatch/fdwatch.d/1.toml": ""])
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: tree.root)
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o600], ofItemAtPath: tree.root + "/etc/fdwatch/fdwatch.toml")
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o700], ofItemAtPath: tree.root + "/etc/fdwatch/fdwatch.d")
    let outcome = try BuiltBinary.run(["check-config", "--root", tree.root], user: 65534)
    #expect(outcome.status == .exited(1))
    #expect(
      tree.short(outcome.output) == """
        /etc/fdwatch/fdwatch.d: cannot be listed: Permission denied
        /etc/fdwatch/fdwatch.toml: cannot be read: Permission denied

        """)
  }

  @Test func `takes files or a place, not both`() throws {
    #expect(try BuiltBinary.run(["check-config", "x.toml", "--root", "/"]).status == .exited(64))
  }
}

@Suite struct `fdwatch config` {
  @Test func `prints what holds, and where it came from`() throws {
    let tree = try ConfigTree([
      "/etc/fdwatch/fdwatch.toml": "\ninterval = \"1s\"\n[labels]\nteam = \"web\"\n[[watch]]\ncomm = \"nginx\"",
      "/run/fdwatch/fdwatch.d/2.toml": "alerts.burst = 7",
    ])
    let outcome = try BuiltBinary.run(["config", "--root", tree.root])
    #expect(outcome.status == .exited(0) && outcome.errors.isEmpty)
    let output = tree.short(outcome.output)
    for part in [
      "interval = \"1s\"  # /etc/fdwatch/fdwatch.toml:2\n", "sensitivity = \"normal\"  # default\n",
      "\n[labels]\nteam = \"web\"  # /etc/fdwatch/fdwatch.toml:4\n", "\nburst = 7  # /run/fdwatch/fdwatch.d/2.toml:1\n",
      "\n[[watch]]\ncomm = \"nginx\"  # /etc/fdwatch/fdwatch.toml:6\n", "reminders = \"4h\"  # default\n",
      "\n[profiles.limits]\ncompressed = \"16MiB\"  # default\n",
    ] { #expect(output.contains(part), "\(part) is missing") }
    // What is printed is a configuration.
    let printed = TemporaryFile(outcome.output)
    #expect(try BuiltBinary.run(["check-config", printed.path]).output == "ok: \(printed.path); 1 [[watch]]\n")
  }

  @Test func `prints JSON`() throws {
    let tree = try ConfigTree(["/etc/fdwatch/fdwatch.toml": "cpu_budget = 2"])
    let outcome = try BuiltBinary.run(["config", "--root", tree.root, "--format", "json"])
    let object = try #require(try JSONSerialization.jsonObject(with: Data(outcome.outputBytes)) as? [String: Any])
    let settings = try #require(object["settings"] as? [[String: Any]])
    let budget = try #require(settings.first { $0["key"] as? String == "cpu_budget" })
    #expect(budget["value"] as? Double == 2)
    #expect((budget["origin"] as? String).map(tree.short) == "/etc/fdwatch/fdwatch.toml:1")
  }

  @Test func `prints no configuration that would be refused`() throws {
    let tree = try ConfigTree(["/etc/fdwatch/fdwatch.toml": "cpu_budget = 0"])
    let outcome = try BuiltBinary.run(["config", "--root", tree.root])
    #expect(outcome.status == .exited(1) && outcome.output.isEmpty)
    #expect(tree.short(outcome.errors).hasPrefix("fdwatch: /etc/fdwatch/fdwatch.toml:1:14: cpu_budget cannot be 0;"))
  }
}
