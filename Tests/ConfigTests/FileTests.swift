// SPDX-License-Identifier: Apache-2.0
// Which files count, in which order, and where a value says that it came from.

import Config
import Foundation
import TestSupport
import Testing

@Suite struct `Files of a configuration` {
  private let main = "/etc/fdwatch/fdwatch.toml"

  @Test func `need not be there`() throws {
    let loaded = try ConfigTree([:]).load()
    #expect(loaded.configuration == Configuration() && loaded.problems.isEmpty && loaded.files.isEmpty)
    #expect(loaded.origins.allSatisfy { $0.origin == "default" })
  }

  @Test func `are read by their names across the folders, the main one first`() throws {
    let tree = try ConfigTree([
      main: "interval = 1", "/etc/fdwatch/fdwatch.d/50-b.toml": "interval = 2",
      "/usr/lib/fdwatch/fdwatch.d/60-c.toml": "interval = 3", "/run/fdwatch/fdwatch.d/10-a.toml": "interval = 4",
      // Neither ends as it must, or is hidden.
      "/etc/fdwatch/fdwatch.d/90-x.toml.bak": "interval = 5", "/etc/fdwatch/fdwatch.d/.99.toml": "interval = 6",
    ])
    let loaded = tree.load()
    #expect(
      loaded.files.map(tree.short) == [
        main, "/run/fdwatch/fdwatch.d/10-a.toml", "/etc/fdwatch/fdwatch.d/50-b.toml",
        "/usr/lib/fdwatch/fdwatch.d/60-c.toml",
      ])
    #expect(loaded.configuration.interval == .seconds(3))
    #expect(loaded.origin("interval").map(tree.short) == "/usr/lib/fdwatch/fdwatch.d/60-c.toml:1")
  }

  @Test func `of one name stand for each other: /etc before /run before /usr/lib`() throws {
    let name = "fdwatch/fdwatch.d/10.toml"
    let all = ["/usr/lib/\(name)": "cpu_budget = 1", "/run/\(name)": "interval = 2", "/etc/\(name)": "interval = 3"]
    #expect(try ConfigTree(all).load().configuration.interval == .seconds(3))
    let without = all.filter { !$0.key.hasPrefix("/etc") }
    let loaded = try ConfigTree(without).load()
    #expect(loaded.configuration.interval == .seconds(2) && loaded.files.count == 1)
    // The whole file is replaced, not its values.
    #expect(loaded.configuration.cpuBudget == 0.4)
  }

  @Test func `are masked by a link to /dev/null`() throws {
    let tree = try ConfigTree([
      main: nil, "/etc/fdwatch/fdwatch.d/10.toml": nil, "/usr/lib/fdwatch/fdwatch.d/10.toml": "interval = 2",
      "/usr/lib/fdwatch/fdwatch.d/20.toml": "cpu_budget = 2",
    ])
    let loaded = tree.load()
    #expect(loaded.configuration.interval == .seconds(10) && loaded.configuration.cpuBudget == 2)
    #expect(loaded.masked.map(tree.short) == [main, "/etc/fdwatch/fdwatch.d/10.toml"] && loaded.problems.isEmpty)
  }

  @Test func `add their labels, and replace their lists`() throws {
    let tree = try ConfigTree([
      main: "skip_frames = [\"a\"]\n[labels]\nteam = \"web\"\nsite = \"ber\"",
      "/etc/fdwatch/fdwatch.d/1.toml": "skip_frames = [\"b\"]\nlabels.team = \"db\"",
    ])
    let loaded = tree.load()
    #expect(loaded.configuration.labels == ["team": "db", "site": "ber"])
    #expect(loaded.configuration.skipFrames == ["b"])
    #expect(loaded.origin("labels.team").map(tree.short) == "/etc/fdwatch/fdwatch.d/1.toml:2")
    #expect(loaded.origin("labels.site").map(tree.short) == "\(main):4")
  }

  @Test func `add their rules, those of later ones first`() throws {
    let tree = try ConfigTree([
      main:
        "[[watch]]\ncomm = \"a\"\n[[watch]]\ncomm = \"b\"\n[[ignore]]\ncomm = \"i\"\n[[hook]]\nname = \"x\"\nshell = \"x\"",
      "/etc/fdwatch/fdwatch.d/1.toml":
        "[[watch]]\ncomm = \"c\"\nhooks = [\"x\", \"y\"]\n[[watch]]\ncomm = \"d\"\n[[ignore]]\ncomm = \"j\"\n"
        + "[[hook]]\nname = \"y\"\nunit = \"y@.service\"",
    ])
    let loaded = tree.load()
    #expect(loaded.problems.isEmpty)
    #expect(loaded.configuration.watch.map(\.selector.comm) == ["c", "d", "a", "b"])
    #expect(loaded.configuration.ignore.map(\.comm) == ["i", "j"])
    #expect(loaded.configuration.hooks.map(\.name) == ["x", "y"])
    #expect(loaded.origin("watch[0].comm").map(tree.short) == "/etc/fdwatch/fdwatch.d/1.toml:2")
    #expect(loaded.origin("watch[3].comm").map(tree.short) == "\(main):4")
    #expect(loaded.origin("hook[1].timeout") == "default")
  }

  @Test func `that cannot be read are an error with its reason`() throws {
    let tree = try ConfigTree([main: "", "/etc/fdwatch/fdwatch.d/1.toml": "", "/run/fdwatch/fdwatch.d": "a file"])
    let path = tree.root + "/etc/fdwatch/fdwatch.d/1.toml"
    try FileManager.default.removeItem(atPath: path)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    #expect(
      tree.load().complaints.map(tree.short) == [
        "/run/fdwatch/fdwatch.d: cannot be listed: Not a directory",
        "/etc/fdwatch/fdwatch.d/1.toml: cannot be read: Operation not supported",
      ])
    #expect(
      Configuration.load(files: [tree.root + "/none.toml"]).complaints.map(tree.short) == [
        "/none.toml: cannot be read: No such file or directory"
      ])
  }

  @Test func `are bounded`() throws {
    let tree = try ConfigTree([main: String(repeating: "#", count: (1 << 20) + 1)])
    #expect(tree.load().complaints.map(tree.short) == ["\(main): has more than 1 MiB; expected less"])
  }

  @Test func `printed as one give the same configuration`() throws {
    let tree = try ConfigTree([
      main: Sample.uncommented,
      "/etc/fdwatch/fdwatch.d/1.toml":
        "interval = 1.5\nlabels = { \"a b\" = \"\\u202e[2J\\\"\\\\ü\" }\n[alerts]\nreminders = \"off\"\n[metrics]\nlisten = \"[::1]:9\""
        + "\n[[watch]]\nall = true\nhooks = []\nlabels = { a = \"b\" }\n[profiles.limits]\nsamples = 3",
    ])
    let loaded = tree.load()
    #expect(loaded.problems.isEmpty)
    let again = Configuration.load(loaded.toml)
    #expect(again.complaints == [])
    #expect(again.configuration == loaded.configuration)
    let json = try JSONSerialization.jsonObject(with: Data(loaded.json.utf8)) as? [String: Any]
    let settings = try #require(json?["settings"] as? [[String: Any]])
    #expect(settings.count == loaded.origins.count)
    #expect(settings.contains { $0["key"] as? String == "interval" && $0["value"] as? String == "1500ms" })
  }
}

@Suite struct `A value` {
  @Test(arguments: [
    ("\"250ms\"", 250), ("\"10s\"", 10_000), ("10", 10_000), ("0.25", 250), ("\"10\"", 10_000), ("\"5min\"", 300_000),
    ("\"5m\"", 300_000), ("\"1h\"", 3_600_000), ("\"1.5s\"", 1500),
  ])
  func `of time has a unit or is seconds`(text: String, milliseconds: Int) {
    let loaded = Configuration.load("interval = \(text)")
    #expect(loaded.complaints == [] && loaded.configuration.interval == .milliseconds(milliseconds))
  }

  @Test(arguments: ["\"-1s\"", "\"s\"", "\"1 s\"", "\"1e3s\"", "\"0x1s\"", "\"1..5s\"", "\"1h30m\"", "\"١s\""])
  func `of time that is none is refused`(text: String) {
    #expect(!Configuration.load("interval = \(text)").isValid)
  }

  @Test(arguments: [
    ("\"4MiB\"", 4 << 20), ("4096", 4096), ("\"5kB\"", 5000), ("\"1.5MiB\"", 3 << 19), ("\"1G\"", 1 << 30),
    ("\"8192B\"", 8192), ("\"8192\"", 8192),
  ])
  func `of size has a unit or is bytes`(text: String, bytes: Int) {
    let loaded = Configuration.load("[evidence]\nmax_bytes = \(text)")
    #expect(loaded.complaints == [] && loaded.configuration.evidence.maxBytes == bytes)
  }

  @Test(arguments: [
    ("127.0.0.1:9812", true), ("0.0.0.0:1", true), ("[::1]:65535", true), ("::1:9812", false), ("127.0.0.1", false),
    ("127.0.0.1:0", false), ("127.0.0.1:65536", false), ("[127.0.0.1]:1", false), (":9812", false), ("a:b:c", false),
    ("256.0.0.1:1", false),
  ])
  func `of address is a number`(text: String, isOne: Bool) {
    #expect((ListenAddress(text) != nil) == isOne)
    if let address = ListenAddress(text) { #expect(address.description == text) }
  }
}
