// SPDX-License-Identifier: Apache-2.0
// Our entries, read back from a real journald.

import Descriptors
import Foundation
import Systemd
import TestSupport
import Testing

private let needsJournal = Comment(rawValue: "needs a journald of its own: \(PrivateJournal.obstacle ?? "")")

@Suite(.enabled(if: PrivateJournal.isUsable, needsJournal)) struct `Alerts in the journal` {
  private let journal: PrivateJournal

  init() throws { journal = try PrivateJournal() }

  /// Has entries sent, one after the other, and waits until they are written.
  private func send(_ entries: [[String: String]], user: UInt32? = nil) throws {
    let asUser = user.map { ["setpriv", "--reuid", "\($0)", "--regid", "\($0)", "--clear-groups", "--"] } ?? []
    for entry in entries {
      let words = entry.map { "\($0.key)=\($0.value)" }
      let sender = try ChildProcess(journal.launcher + asUser + [Products.executable("journalsend")] + words)
      try #require(try sender.readLine() == "sent")
      _ = try journal.read(["-n", "0"])
      sender.closeInput()
    }
  }

  private func alert(_ id: String, _ message: MessageID = .alert, unit: String = "a.service") -> [String: String] {
    [
      "MESSAGE": "leak \(id)", "MESSAGE_ID": message.rawValue, "PRIORITY": "4", "FDWATCH_EVENT": "\(message)",
      "FDWATCH_ALERT_ID": id, "FDWATCH_UNIT": unit,
    ]
  }

  private func ids(_ filter: JournalFilter = JournalFilter()) throws -> [String] {
    let query = try JournalQuery(.directory(journal.directory), filter)
    var found: [String] = []
    while let event = try query.next() { found.append(event["FDWATCH_ALERT_ID"] ?? "?") }
    return found
  }

  @Test func `come back with all that was said of them, in order`() throws {
    let before = Date().timeIntervalSince1970
    let long = String(repeating: "f", count: 100_000)
    var first = alert("1")
    first["FDWATCH_STACK"] = "main.leak /src/main.go:5\nmain.main /src/main.go:1"
    first["FDWATCH_EVIDENCE"] = long
    try send([first, alert("2", .resolved), ["MESSAGE": "another's", "FDWATCH_ALERT_ID": "3"]])
    let query = try JournalQuery(.directory(journal.directory), JournalFilter())
    let event = try #require(try query.next())
    #expect(event.event == "alert" && event.message == "leak 1" && event.priority == 4 && event.unit == "a.service")
    #expect(event["FDWATCH_STACK"] == first["FDWATCH_STACK"] && event["FDWATCH_EVIDENCE"] == long)
    #expect(event.time >= before && event.time <= Date().timeIntervalSince1970)
    #expect(event.host == ProcessInfo.processInfo.hostName && event.isTrusted)
    #expect(Set(event.fields.keys) == Set(first.keys), "and nothing else")
    #expect(try query.next()?.event == "resolved")
    #expect(try query.next() == nil)
    #expect(query.closedFiles.isEmpty)
  }

  @Test func `are found by unit, by word and by time`() throws {
    try send([alert("1"), alert("2", .escalated, unit: "nginx-a.service"), alert("3", .notice, unit: "b.scope")])
    #expect(try ids() == ["1", "2", "3"])
    var filter = JournalFilter()
    for (unit, expected) in [
      ("nginx*", ["2"]), ("a", ["1"]), ("?.s*", ["1", "3"]), ("b", []), ("*", ["1", "2", "3"]),
    ] {
      filter.unit = unit
      #expect(try ids(filter) == expected, "\(unit)")
    }
    filter = JournalFilter()
    filter.events = ["alert", "escalated"]
    #expect(try ids(filter) == ["1", "2"])
    filter = JournalFilter()
    filter.messages = MessageID.alerts
    #expect(try ids(filter) == ["1", "2"])
    let query = try JournalQuery(.directory(journal.directory), JournalFilter())
    _ = try query.next()
    filter.since = try #require(try query.next()?.time)
    #expect(try ids(filter) == ["2"])
    filter.since = Date().timeIntervalSince1970 + 3600
    #expect(try ids(filter).isEmpty)
  }

  @Test(.enabled(if: Machine.canRunAsNobody, "needs root, and a build that others can run"))
  func `are believed of root alone`() throws {
    try send([alert("made up")], user: 65534)
    try send([alert("true")])
    #expect(try ids() == ["true"])
    var filter = JournalFilter()
    filter.includesUntrusted = true
    let query = try JournalQuery(.directory(journal.directory), filter)
    let event = try #require(try query.next())
    #expect(event["FDWATCH_ALERT_ID"] == "made up" && event.user == 65534 && !event.isTrusted)
    #expect(try query.next()?.isTrusted == true)
  }

  @Test func `that come later are waited for`() throws {
    try send([alert("1")])
    let query = try JournalQuery(.directory(journal.directory), JournalFilter())
    #expect(try query.next()?.message == "leak 1")
    #expect(try query.next() == nil)
    try send([alert("2")])
    var found = try query.next()
    while found == nil {
      _ = try query.wait(.seconds(60))
      found = try query.next()
    }
    #expect(found?.message == "leak 2")
  }

  @Test func `of which a field is endless are cut`() throws {
    var endless = alert("1")
    endless["FDWATCH_EVIDENCE"] = String(repeating: "e", count: 120_000)
    let words = endless.map { "\($0.key)=\($0.value)" }
    // As many as make a message that no socket's buffer takes: it then goes as a file.
    let more = (1...9).map { "FDWATCH_MORE_\($0)=" + String(repeating: "m", count: 120_000) }
    let sender = try ChildProcess(journal.launcher + [Products.executable("journalsend")] + words + more)
    try #require(try sender.readLine() == "sent")
    _ = try journal.read(["-n", "0"])
    let query = try JournalQuery(.directory(journal.directory), JournalFilter())
    let event = try #require(try query.next())
    #expect(event.fields.values.reduce(0) { $0 + ($1.first?.utf8.count ?? 0) } > 10 * 120_000)
    sender.closeInput()
  }
}

@Suite struct `A journal` {
  @Test func `that is not there is told, and not taken for an empty one`() throws {
    let directory = try TemporaryDirectory()
    #expect(throws: JournalReadError.noJournal(path: directory.path)) {
      _ = try JournalQuery(.directory(directory.path), JournalFilter())
    }
    #expect(throws: JournalReadError.noJournal(path: "/no/such/place")) {
      _ = try JournalQuery(.directory("/no/such/place"), JournalFilter())
    }
  }
}
