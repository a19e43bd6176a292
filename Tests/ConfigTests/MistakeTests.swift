// SPDX-License-Identifier: Apache-2.0
// What is wrong, where, and what is expected.

import Config
import TestSupport
import Testing

/// A file, and what must be said of it.
struct Mistaken: Sendable, CustomTestStringConvertible {
  var text: String
  var complaints: [String]
  var testDescription: String { text.split(separator: "\n").joined(separator: " ⏎ ") }

  init(_ text: String, _ complaints: String...) {
    self.text = text
    self.complaints = complaints
  }

  static let selectors = "expected one of unit, cgroup, user, exe, comm, cmdline, pidfile, or all = true"

  static let values: [Mistaken] = [
    Mistaken("interval = true", "f:1:12: interval cannot be true; expected a time from \"250ms\" to \"1h\""),
    Mistaken(
      "\n  interval = \"soon\"", "f:2:14: interval cannot be \"soon\"; expected a time from \"250ms\" to \"1h\""),
    Mistaken("interval = \"249ms\"", "f:1:12: interval cannot be \"249ms\"; expected a time from \"250ms\" to \"1h\""),
    Mistaken("interval = 3601", "f:1:12: interval cannot be 3601; expected a time from \"250ms\" to \"1h\""),
    Mistaken("interval = 1979-05-27", "f:1:12: interval cannot be a date; expected a time from \"250ms\" to \"1h\""),
    Mistaken("interval = nan", "f:1:12: interval cannot be nan; expected a time from \"250ms\" to \"1h\""),
    Mistaken("interval = inf", "f:1:12: interval cannot be inf; expected a time from \"250ms\" to \"1h\""),
    Mistaken(
      "interval = -9223372036854775808",
      "f:1:12: interval cannot be -9223372036854775808; expected a time from \"250ms\" to \"1h\""),
    Mistaken(
      "sensitivity = \"max\"", "f:1:15: sensitivity cannot be \"max\"; expected one of \"low\", \"normal\", \"high\""),
    Mistaken("cpu_budget = 0.01", "f:1:14: cpu_budget cannot be 0.01; expected a number from 0.05 to 100"),
    Mistaken("cpu_budget = \"1\"", "f:1:14: cpu_budget cannot be \"1\"; expected a number from 0.05 to 100"),
    Mistaken(
      "labels = { a = 1, b = \"\", c = \"x\" }", "f:1:16: the label a cannot be 1; expected a text",
      "f:1:23: the label b cannot be \"\"; expected a text"),
    Mistaken("labels = 3", "f:1:10: labels cannot be 3; expected a table of texts, as in { team = \"web\" }"),
    Mistaken(
      "skip_frames = [\n  \"a*\",\n  3,\n  \"[z-a]\",\n]",
      "f:3:3: an element of skip_frames cannot be 3; expected a glob, as in \"nginx*\"",
      "f:4:3: \"[z-a]\" is no glob: a range runs backwards; expected the lower end first, as in [a-z]"),
    Mistaken("alerts = 3", "f:1:10: alerts cannot be 3; expected a table, [alerts]"),
    Mistaken(
      "[alerts]\nreminders = false",
      "f:2:13: alerts.reminders cannot be false; expected a time from \"1min\" to \"7d\", or \"off\""),
    Mistaken("[alerts]\nburst = 1.5", "f:2:9: alerts.burst cannot be 1.5; expected a whole number from 1 to 10000"),
    Mistaken(
      "[alerts]\nhost_limit = 101", "f:2:14: alerts.host_limit cannot be 101; expected a whole number from 0 to 100"),
    Mistaken("[alerts]\njournal = 1", "f:2:11: alerts.journal cannot be 1; expected true or false"),
    Mistaken(
      "[metrics]\nlisten = \"localhost:1\"\ntextfile = \"/x/y.txt\"",
      "f:2:10: metrics.listen cannot be \"localhost:1\"; expected an address and a port, as in \"127.0.0.1:9812\" or "
        + "\"[::1]:9812\", or \"\"",
      "f:3:12: metrics.textfile cannot be \"/x/y.txt\"; expected an absolute path that ends with .prom, or \"\""),
    Mistaken(
      "[profiles.limits]\nsamples = \"1KiB\"\nexpanded = \"2GiB\"",
      "f:2:11: profiles.limits.samples cannot be \"1KiB\"; expected a whole number from 1 to 1073741824",
      "f:3:12: profiles.limits.expanded cannot be \"2GiB\"; expected a size from 1 to \"1GiB\""),
    Mistaken(
      "[evidence]\nmax_bytes = \"1kB\"",
      "f:2:13: evidence.max_bytes cannot be \"1kB\"; expected a size from \"4KiB\" to \"1GiB\""),
  ]

  static let rules: [Mistaken] = [
    Mistaken("[[watch]]\ninterval = 3", "f:1:1: the rule selects nothing; \(selectors)"),
    Mistaken("\n  [[ignore]]\n  all = false", "f:2:3: the rule selects nothing; \(selectors)"),
    Mistaken(
      "watch = [{}, 3]", "f:1:10: the rule selects nothing; \(selectors)",
      "f:1:14: an element of watch cannot be 3; expected a table, [[watch]]"),
    Mistaken("[watch]\nall = true", "f:1:1: watch cannot be a table; expected tables, [[watch]]"),
    // Of a selector that is wrong one thing is said, and not that there is none.
    Mistaken(
      "[[watch]]\ncomm = \"[a\"\nunit = \"\"",
      "f:2:8: \"[a\" is no glob: a bracket is not closed; expected [a-z], or \"\\[\" for a bracket",
      "f:3:8: unit cannot be \"\"; expected a glob, as in \"nginx*\""),
    Mistaken("[[watch]]\npidfile = \"x.pid\"", "f:2:11: pidfile cannot be \"x.pid\"; expected an absolute path"),
    Mistaken(
      "[[watch]]\nall = true\nprofile = [\"ftp://x\"]\nprofile_headers = [\"no colon\"]",
      "f:3:12: \"ftp://x\" is no source of profiles: it begins with none of http://, https://, unix:/, unix:@ and /; "
        + "expected http://HOST:PORT/PATH, unix:/SOCKET:/PATH, or the path of a file",
      "f:4:20: an element of profile_headers cannot be \"no colon\"; expected a header, as in \"X-Key: abc\""),
    Mistaken(
      "[[watch]]\nall = true\nhooks = [\"a\", \"b\"]\n[[hook]]\nname = \"a\"\nshell = \"true\"",
      "f:3:15: there is no hook \"b\"; expected one of a"),
    Mistaken("[[watch]]\nall = true\nhooks = \"b\"", "f:3:9: there is no hook \"b\"; expected a [[hook]] of that name"),
  ]

  static let hooks: [Mistaken] = [
    Mistaken(
      "[[hook]]", "f:1:1: the hook has no name; expected name = \"…\"",
      "f:1:1: the hook does nothing; expected one of command, shell and unit"),
    Mistaken(
      "[[hook]]\nname = \"a\"\nshell = \"x\"\nunit = \"x@.service\"",
      "f:4:1: the hook has both shell and unit; expected one of command, shell and unit"),
    Mistaken(
      "[[hook]]\nname = \"a\"\ncommand = [\"mail\", \"root\"]",
      "f:3:12: the command \"mail\" is no absolute path; expected one that begins with \"/\""),
    Mistaken(
      "[[hook]]\nname = \"a\"\ncommand = \"/bin/mail root\"",
      "f:3:11: command cannot be \"/bin/mail root\"; expected a list of words, as in [\"/usr/lib/fdwatch/hooks/mail\", "
        + "\"root\"]; shell = \"…\" takes a command line"),
    Mistaken(
      "[[hook]]\nname = \"a b\"\nshell = \"x\"",
      "f:2:8: name cannot be \"a b\"; expected a name of at most 64 letters, digits, \"_\", \".\" and \"-\""),
    Mistaken(
      "[[hook]]\nname = \"a\"\nshell = \"x\"\n[[hook]]\nname = \"a\"\nshell = \"y\"",
      "f:5:8: there is a hook \"a\" already, at f:2; expected a name of its own"),
    Mistaken(
      "[[hook]]\nname = \"a\"\nunit = \"x.service\"",
      "f:3:8: unit cannot be \"x.service\"; expected a template unit, as in \"fdwatch-alert@.service\""),
    Mistaken(
      "[[hook]]\nname = \"a\"\nunit = \"x@.service\"\nuser = \"nobody\"",
      "f:4:1: user does not go with unit; expected User= in the unit itself"),
    Mistaken(
      "[[hook]]\nname = \"a\"\nshell = \"x\"\nevents = []\ntypes = [\"leak\", \"leek\"]\npriority = 4\ntimeout = \"0s\"",
      "f:4:10: events cannot be a list; expected a list of at least one of \"suspected\", \"alert\", \"escalated\", \"reminder\", \"resolved\"",
      "f:5:18: an element of types cannot be \"leek\"; expected one of \"leak\", \"limit\", \"report\"",
      "f:6:12: priority cannot be 4; expected one of \"crit\", \"err\", \"warning\", \"notice\", \"info\"",
      "f:7:11: timeout cannot be \"0s\"; expected a time from \"1s\" to \"1h\""),
  ]

  static let syntax: [Mistaken] = [
    Mistaken("interval = ", "f:1:12: not TOML: encountered end-of-file (key-value pair)"),
    Mistaken("interval = \n", "f:1:12: not TOML: expected value, saw '\\n' (key-value pair)"),
    Mistaken("a = 1\na = 2", "f:2:5: not TOML: cannot redefine existing integer 'a' (key-value pair)"),
    Mistaken(
      "interval = \"é\nx",
      "f:1:14: not TOML: unescaped control characters other than TAB (U+0009) are explicitly prohibited (string)"),
    Mistaken(String(repeating: "a.", count: 40) + "b = 1", "f:1:64: the key has more than 32 parts; expected fewer"),
    Mistaken(
      "a = " + String(repeating: "[", count: 100),
      "f:1:37: not TOML: exceeded maximum nested value depth of 32 (value)"),
  ]
}

@Suite struct `A mistake in a configuration` {
  @Test(arguments: Mistaken.values + Mistaken.rules + Mistaken.hooks + Mistaken.syntax)
  func `is told with its place and what is expected`(file: Mistaken) {
    let loaded = Configuration.load(file.text)
    #expect(loaded.complaints == file.complaints)
    #expect(!loaded.isValid)
  }

  @Test func `does not hide the next one`() {
    let files = Mistaken.values.map { TemporaryFile($0.text) }
    let loaded = Configuration.load(files: files.map(\.path))
    #expect(loaded.problems.count == Mistaken.values.reduce(0) { $0 + $1.complaints.count })
  }

  @Test func `is told in the order of files and places`() throws {
    let tree = try ConfigTree([
      "/etc/fdwatch/fdwatch.toml": "[[watch]]\nhooks = [\"none\"]\ncomm = 3\ninterval = 0\n[alerts]\nburst = 0",
      "/run/fdwatch/fdwatch.d/10-a.toml": "interval = 0",
    ])
    let places = tree.load().problems.map { "\(tree.short($0.path)):\($0.line):\($0.column)" }
    let main = "/etc/fdwatch/fdwatch.toml"
    #expect(
      places == ["\(main):2:10", "\(main):3:8", "\(main):4:12", "\(main):6:9", "/run/fdwatch/fdwatch.d/10-a.toml:1:12"])
  }
}

@Suite struct `An unknown key` {
  @Test(arguments: [
    ("intervall = 3", "f:1:1: warning: unknown key intervall; did you mean interval?"),
    ("[alerts]\nremindres = \"1h\"", "f:2:1: warning: unknown key alerts.remindres; did you mean alerts.reminders?"),
    ("burst = 3", "f:1:1: warning: unknown key burst; did you mean alerts.burst?"),
    ("[alert]\nburst = 3", "f:1:2: warning: unknown key alert; did you mean alerts?"),
    ("[future]\nx = 3", "f:1:2: warning: unknown key future; it has no effect"),
    ("[[watch]]\nall = true\ncom = \"x\"", "f:3:1: warning: unknown key com; did you mean comm?"),
    (
      "[[hook]]\nname = \"a\"\nshell = \"x\"\n  time_out = 3",
      "f:4:3: warning: unknown key time_out; did you mean timeout?"
    ),
    ("[[watches]]\nall = true", "f:1:3: warning: unknown key watches; did you mean watch?"),
    ("\"alerts.burst\" = 3", "f:1:1: warning: unknown key alerts.burst; did you mean alerts.burst?"),
    ("\"a\\u001bb\" = 3", "f:1:1: warning: unknown key a\\x1bb; it has no effect"),
  ])
  func `is a warning with its place, and no error`(text: String, complaint: String) {
    let loaded = Configuration.load(text)
    #expect(loaded.complaints == [complaint])
    #expect(loaded.isValid)
    #expect(loaded.configuration.interval == .seconds(10) && loaded.configuration.alerts.burst == 20)
  }
}

@Suite struct `A secret in a rule` {
  private static let secrets = "profile_headers = [\"X-Key: abc\"]\nprofile_token_file = \"/etc/token\"\n"
  private static let advice =
    "any user can start a process that fits this rule; expected user = \"NAME\", or a unit that no user can start, "
    + "beside it"

  @Test(arguments: [
    "comm = \"prometheus\"", "cmdline = \"*prometheus*\"", "exe = \"/usr/bin/prometheus\"", "all = true",
    "pidfile = \"/run/x.pid\"", "user = \"*\"", "user = \"[a-z]*\"", "unit = \"*\"", "unit = \"user@*.service\"",
    "unit = \"session-*\"", "cgroup = \"*/prometheus.service\"", "cgroup = \"/user.slice/*\"",
  ]) func `is not sent where a stranger can fit the rule`(selector: String) throws {
    let loaded = Configuration.load("[[watch]]\n\(Self.secrets)\(selector)")
    #expect(
      loaded.complaints == [
        "f:2:1: warning: profile_headers is not sent: \(Self.advice)",
        "f:3:1: warning: profile_token_file is not sent: \(Self.advice)",
      ])
    // The daemon goes on: a warning refuses nothing.
    #expect(loaded.isValid)
    let rule = try #require(loaded.configuration.watch.first)
    #expect(rule.profileHeaders == [] && rule.profileTokenFile == nil)
    #expect(!loaded.origins.contains { $0.value.contains("token") || $0.value.contains("X-Key") })
  }

  @Test(arguments: [
    "user = \"prometheus\"", "user = \"33\"\ncomm = \"x\"", "unit = \"prometheus\"", "unit = \"prom*.service\"",
    "unit = \"user@1000.service\"", "unit = \"app@*.service\"", "cgroup = \"/system.slice/*\"",
  ]) func `is sent where only root decides who fits it`(selector: String) throws {
    let loaded = Configuration.load("[[watch]]\n\(Self.secrets)\(selector)")
    #expect(loaded.complaints == [])
    let rule = try #require(loaded.configuration.watch.first)
    #expect(rule.profileHeaders == ["X-Key: abc"] && rule.profileTokenFile == "/etc/token")
  }

  @Test func `is no concern of a rule without any`() {
    #expect(Configuration.load("[[watch]]\ncomm = \"x\"\nprofile_ca = \"/etc/ca\"").complaints == [])
  }
}
