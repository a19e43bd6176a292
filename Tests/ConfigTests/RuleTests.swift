// SPDX-License-Identifier: Apache-2.0
// Globs, and what rules say of processes.

import TestSupport
import Testing

@testable import Config

@Suite struct `A glob` {
  @Test(arguments: [
    ("", ""), ("*", ""), ("*", "anything/at all"), ("**a**", "bab"), ("nginx", "nginx"),
    ("nginx*.service", "nginx-1.service"),
    ("?", "ü"), ("a?c", "abc"), ("[abc]x", "bx"), ("[a-c0-9]", "7"), ("[!a-c]", "d"), ("[^a-c]", "d"), ("[]]", "]"),
    ("[!]]", "a"), ("[a-]", "-"), ("[-a]", "-"), ("[\\]]", "]"), ("\\*", "*"), ("\\\\", "\\"), ("a\\?", "a?"),
    ("[[]", "["),
    ("[ä-ü]", "ö"), ("*.go:*", "main.go:12"), ("*ab*ab*", "xabyabz"), ("[*]", "*"),
  ]) func `matches`(pattern: String, text: String) {
    #expect(Pattern.matches(pattern, text))
    #expect(Pattern.mistake(in: pattern) == nil)
  }

  @Test(arguments: [
    ("", "a"), ("?", ""), ("?", "ab"), ("nginx", "nginx2"), ("nginx", "Nginx"), ("a*b", "a"), ("[abc]", "d"),
    ("[!a]", "a"),
    ("[!a]", ""), ("\\*", "a"), ("*a", "ab"), ("[a-c]", "-"), ("*ab*ab*", "xabz"), ("a", ""),
  ]) func `does not match`(pattern: String, text: String) {
    #expect(!Pattern.matches(pattern, text))
  }

  @Test(arguments: ["[", "[a", "[]", "[!]", "a\\", "[z-a]", "[[:alpha:]]", "[a\\"])
  func `is refused where it says something else than it seems to`(pattern: String) {
    #expect(Pattern.mistake(in: pattern) != nil)
  }

  @Test func `does not take for ever over a hostile text`() {
    // With fnmatch(3)'s way this would be 10^20 steps and more.
    let pattern = String(repeating: "*a", count: 20) + "*b"
    #expect(!Pattern.matches(pattern, String(repeating: "a", count: 100_000)))
  }
}

@Suite struct `A selector` {
  private let facts = ProcessFacts(
    pid: 7, unit: "nginx.service", cgroup: "/system.slice/nginx.service", user: "www-data", uid: 33,
    exe: "/usr/sbin/nginx", comm: "nginx", cmdline: "nginx: worker process")

  private func selector(_ text: String) throws -> Selector {
    let loaded = Configuration.load("[[ignore]]\n" + text)
    try #require(loaded.complaints == [])
    return try #require(loaded.configuration.ignore.first)
  }

  @Test(arguments: [
    "unit = \"nginx.service\"", "unit = \"nginx\"", "unit = \"ngi*\"", "cgroup = \"/system.slice/*\"",
    "user = \"www-*\"", "user = \"33\"", "exe = \"*/nginx\"", "comm = \"nginx\"", "cmdline = \"*worker*\"",
    "all = true",
    "pidfile = \"/run/x.pid\"", "comm = \"nginx\"\nuser = \"33\"\npidfile = \"/run/x.pid\"\nall = true",
  ]) func `fits if all of it fits`(text: String) throws {
    #expect(try selector(text).matches(facts, pidIn: { $0 == "/run/x.pid" ? 7 : nil }))
  }

  @Test(arguments: [
    "unit = \"nginx.scope\"", "unit = \"ngin\"", "user = \"3\"", "comm = \"nginx\"\nuser = \"root\"",
    "pidfile = \"/run/y.pid\"", "all = true\ncomm = \"x\"", "cmdline = \"nginx\"",
  ]) func `does not fit if one part does not`(text: String) throws {
    #expect(try !selector(text).matches(facts, pidIn: { $0 == "/run/x.pid" ? 7 : nil }))
  }

  @Test func `does not fit what is not known`() throws {
    #expect(try !selector("unit = \"*\"").matches(ProcessFacts(pid: 7)))
    #expect(try !selector("user = \"*\"").matches(ProcessFacts(pid: 7)))
    #expect(!Selector().matches(facts))
  }

  @Test func `asks for the pid file last`() throws {
    let selector = try selector("pidfile = \"/run/x.pid\"\ncomm = \"other\"")
    #expect(
      !selector.matches(facts) { _ in
        Issue.record("it was read for a process that is not meant")
        return 7
      })
  }
}

@Suite struct `Rules` {
  private func decision(_ text: String, comm: String) -> Configuration.Decision {
    Configuration.load(text).configuration.rule(for: ProcessFacts(pid: 1, comm: comm))
  }

  @Test func `that are not there leave everything watched`() {
    #expect(decision("", comm: "a") == .watch(WatchRule()))
    #expect(decision("[[ignore]]\ncomm = \"b\"", comm: "a") == .watch(WatchRule()))
  }

  @Test func `to ignore come before those to watch`() {
    let text = "[[watch]]\nall = true\n[[ignore]]\ncomm = \"a*\""
    #expect(decision(text, comm: "ab") == .ignored)
  }

  @Test func `leave unwatched what none is about, and the first that fits holds`() {
    let text = "[[watch]]\ncomm = \"a*\"\ninterval = 1\n[[watch]]\ncomm = \"*b\"\ninterval = 2"
    guard case .watch(let rule) = decision(text, comm: "ab") else { return #expect(Bool(false)) }
    #expect(rule.interval == .seconds(1))
    guard case .watch(let other) = decision(text, comm: "cb") else { return #expect(Bool(false)) }
    #expect(other.interval == .seconds(2))
    #expect(decision(text, comm: "c") == .unwatched)
  }

  @Test func `say which facts they ask for`() {
    let configuration = Configuration.load("[[watch]]\ncomm = \"a\"\npidfile = \"/x\"\n[[ignore]]\nexe = \"b\"")
      .configuration
    #expect(configuration.factsAsked == [.comm, .exe])
    #expect(Configuration().factsAsked.isEmpty)
  }
}

@Suite struct `A pid file` {
  @Test(arguments: [
    ("4711\n", 4711), ("4711", 4711), (" 4711 \nmore", 4711), ("", nil), ("0", nil), ("-3", nil), ("1 2", nil),
    ("x", nil),
  ])
  func `holds a number on its first line`(text: String, pid: Int32?) {
    let file = TemporaryFile(text)
    #expect(PidFile.pid(in: file.path) == pid)
    #expect(PidFile.pid(in: file.path + "-none") == nil)
  }
}
