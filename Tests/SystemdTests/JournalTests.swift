// SPDX-License-Identifier: Apache-2.0
// Journal entries: sent, then read back by journalctl from a real journald.

import Foundation
import Glibc
import Systemd
import TestSupport
import Testing

private let needsJournal = Comment(rawValue: "needs a journald of its own: \(PrivateJournal.obstacle ?? "")")

@Suite(.enabled(if: PrivateJournal.isUsable, needsJournal)) struct `A journal entry` {
  /// Has an entry sent; the sender lives until what it sent has been read.
  private func send(
    _ fields: [(String, String)], to journal: PrivateJournal
  ) throws -> (sender: ChildProcess, answer: String?) {
    let words = fields.map { "\($0.0)=\($0.1)" }
    let sender = try ChildProcess(journal.launcher + [Products.executable("journalsend")] + words)
    return (sender, try sender.readLine())
  }

  /// By a name each: a test's name shows its arguments, and these would write to the terminal of who runs it.
  private static let values = [
    "text": "plain", "nothing": "", "lines": "two\nlines", "a last line": "ends with a line\n", "letters": "naïve 漏れ 🚰",
    "control bytes": "tab\tescape \u{1b}[31m bell \u{07}", "equals signs": "a=b=c",
    "100 kB": String(repeating: "long ", count: 20_000),
  ]

  @Test(arguments: values.keys.sorted()) func `keeps every byte of a value`(name: String) throws {
    let value = try #require(Self.values[name])
    let journal = try PrivateJournal()
    let (sender, answer) = try send([("MESSAGE", "values"), ("FDWATCH_TARGET", value)], to: journal)
    #expect(answer == "sent")
    let entries = try journal.entries(["MESSAGE=values"])
    #expect(entries.count == 1)
    #expect(entries.first?.bytes["FDWATCH_TARGET"] == [Array(value.utf8)])
    sender.closeInput()
  }

  @Test func `has the fields that were sent and no others`() throws {
    let journal = try PrivateJournal()
    let fields = ["MESSAGE": "a leak", "PRIORITY": "4", "SYSLOG_IDENTIFIER": "fdwatch", "FDWATCH_KIND": "tcp"]
    let (sender, answer) = try send(fields.map { ($0.key, $0.value) }, to: journal)
    #expect(answer == "sent")
    let entry = try #require(try journal.entries(["SYSLOG_IDENTIFIER=fdwatch"]).first)
    // Not even CODE_FILE, with which libsystemd would name a header of ours.
    #expect(entry.sent == fields)
    #expect(entry["_PID"] == "\(sender.pid)")
    #expect(entry["_TRANSPORT"] == "journal")
    sender.closeInput()
  }

  @Test func `may have a field twice`() throws {
    let journal = try PrivateJournal()
    let (sender, _) = try send([("MESSAGE", "twice"), ("FDWATCH_STACK", "a"), ("FDWATCH_STACK", "b")], to: journal)
    let entry = try #require(try journal.entries(["MESSAGE=twice"]).first)
    #expect(entry.bytes["FDWATCH_STACK"].map(Set.init) == [Array("a".utf8), Array("b".utf8)])
    sender.closeInput()
  }

  @Test(arguments: ["", "lower", "_COMM", "1ST", "WITH SPACE", "WITH-DASH", "ÄRGER", String(repeating: "A", count: 65)])
  func `is refused whole for a field name that journald would drop`(name: String) throws {
    let journal = try PrivateJournal()
    let (sender, answer) = try send([("MESSAGE", "refused"), (name, "x")], to: journal)
    #expect(answer == "\(JournalError.badFieldName(name))")
    #expect(try journal.entries(["MESSAGE=refused"]).isEmpty)
    sender.closeInput()
  }

  @Test func `may have names as long as journald takes them`() throws {
    let journal = try PrivateJournal()
    let name = String(repeating: "N", count: 64)
    let (sender, answer) = try send([("MESSAGE", "long name"), (name, "kept")], to: journal)
    #expect(answer == "sent")
    #expect(try journal.entries(["MESSAGE=long name"]).first?[name] == "kept")
    sender.closeInput()
  }

  @Test(.enabled(if: CgroupUnit.isUsable, "needs root and a writable cgroup2 hierarchy"))
  func `about a process belongs to the log of its unit, too`() throws {
    let journal = try PrivateJournal()
    let unit = try CgroupUnit()
    let factory = try FDFactory()
    try unit.add(factory.pid)
    let (sender, _) = try send([("MESSAGE", "about another"), ("OBJECT_PID", "\(factory.pid)")], to: journal)
    let entry = try #require(try journal.entries(["MESSAGE=about another"]).first)
    #expect(entry["OBJECT_SYSTEMD_UNIT"] == unit.name)
    #expect(entry["OBJECT_COMM"] == "fdfactory")
    #expect(entry["OBJECT_UID"] == "0")
    // As somebody types it who looks after that service.
    #expect(try journal.entries(["--unit", unit.name]).map { $0["MESSAGE"] } == ["about another"])
    sender.closeInput()
  }
}

@Suite struct `Without a journald, an entry` {
  @Test(.enabled(if: Machine.hasMountNamespaces && Machine.isRoot, "needs root and mount namespaces"))
  func `is not taken for sent`() throws {
    // Where nothing is mounted at /run but an empty folder, no socket is.
    let hidden = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /run && exec \"$@\"", "sh"]
    let sender = try ChildProcess(hidden + [Products.executable("journalsend"), "MESSAGE=lost"])
    #expect(try sender.readLine() == "\(JournalError.notListening(socket: "/run/systemd/journal/socket"))")
    sender.closeInput()
  }
}

@Suite struct `A journald that is in trouble` {
  private let entry = [("MESSAGE", "a leak"), ("PRIORITY", "4")]

  @Test func `and hangs, does not hold up who sends`() throws {
    let directory = try TemporaryDirectory()
    let journald = try Receiver(path: directory.path + "/socket")
    var sent = 0
    // The queue of a socket is some ten long, or 512 where systemd has set it.
    let error = #expect(throws: JournalError.self) {
      while sent < 100_000 {
        try Journal.send(entry, to: journald.path)
        sent += 1
      }
    }
    #expect(error == .busy(socket: journald.path) && error?.mayPassLater == true && sent > 0)
    #expect(journald.messages == Array(repeating: "MESSAGE=a leak\nPRIORITY=4\n", count: sent))
    try Journal.send(entry, to: journald.path)
  }

  @Test func `and has ended, is told from one that never was`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/socket"
    #expect(throws: JournalError.notListening(socket: path)) { try Journal.send(entry, to: path) }
    do { _ = try Receiver(path: path) }
    let error = #expect(throws: JournalError.self) { try Journal.send(entry, to: path) }
    #expect(error == .refused(socket: path) && error?.mayPassLater == true)
  }

  @Test func `gets lines with their length, and much as a file`() throws {
    let directory = try TemporaryDirectory()
    let journald = try Receiver(path: directory.path + "/socket")
    try Journal.send([("MESSAGE", "two\nlines")], to: journald.path)
    #expect(journald.messages == ["MESSAGE\n\u{9}\0\0\0\0\0\0\0two\nlines\n"])
    // Larger than any socket's buffer: the message is empty, and the file comes beside it.
    try Journal.send([("MESSAGE", String(repeating: "m", count: 20 << 20))], to: journald.path)
    #expect(journald.messages == [""])
  }
}
