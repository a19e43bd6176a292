// SPDX-License-Identifier: Apache-2.0
// The message catalog: that it explains what is sent.

import Descriptors
import Systemd
import TestSupport
import Testing

@Suite struct `The message catalog` {
  private static let catalog = "packaging/catalog/fdwatch.catalog"
  private static let page = "packaging/man/fdwatch-journal-fields.7"

  /// Words of 32 hexadecimal digits.
  private static func ids(in text: String) -> Set<String> {
    Set(text.split { !$0.isHexDigit }.filter { $0.count == 32 }.map(String.init))
  }

  @Test func `explains every kind of entry that the manual names`() throws {
    let explained = Self.ids(in: try Repository.text(of: Self.catalog))
    #expect(explained == Set(MessageID.allCases.map(\.rawValue)))
    #expect(explained == Self.ids(in: try Repository.text(of: Self.page)))
  }

  @Test(arguments: [Self.page, "docs/journal-fields.md"])
  func `stands beside a description of every field that is sent`(file: String) throws {
    let page = try Repository.text(of: file)
    // A name with its number behind it is made of "FDWATCH_STACK" and more.
    let sent = Set(
      try
        (Repository.text(of: "Sources/Alerts/JournalEntry.swift") + Repository.text(of: "Sources/Daemon/Teller.swift"))
        .split { !$0.isASCII || !($0.isLetter || $0.isNumber || $0 == "_") }
        .filter { $0.hasPrefix("FDWATCH_") })
    #expect(sent.count > 20)
    for field in sent { #expect(page.contains(field), "\(field)") }
  }

  @Test func `quotes only fields that the manual knows`() throws {
    let page = try Repository.text(of: Self.page)
    // They stand between two signs: @FDWATCH_COMM@.
    let quoted = Set(try Repository.text(of: Self.catalog).split(separator: "@").filter { $0.hasPrefix("FDWATCH_") })
    #expect(!quoted.isEmpty)
    for field in quoted { #expect(page.contains(field), "\(field)") }
  }

  private static let needsJournal = Comment(rawValue: "needs a journald of its own: \(PrivateJournal.obstacle ?? "")")

  @Test(.enabled(if: PrivateJournal.isUsable, needsJournal))
  func `is what journalctl says of an entry, with its values`() throws {
    let journal = try PrivateJournal(catalogs: [Repository.path(Self.catalog)])
    for id in Self.ids(in: try Repository.text(of: Self.catalog)).sorted() {
      let fields = [
        "MESSAGE_ID=\(id)", "MESSAGE=message \(id)", "FDWATCH_COMM=shop", "FDWATCH_KIND=tcp",
        "FDWATCH_TARGET=10.0.0.5:5432", "FDWATCH_RESOLUTION=retracted", "FDWATCH_ALERT_ID=4711-88-1",
      ]
      let sender = try ChildProcess(journal.launcher + ["logger", "--journald"])
      try sender.write(fields.joined(separator: "\n") + "\n")
      sender.closeInput()
      try #require(try sender.finish().status == .exited(0))
    }
    let read = try journal.read(["--catalog"])
    #expect(read.split(separator: "\n").count { $0.contains("Defined-By: fdwatch") } == MessageID.allCases.count)
    #expect(read.contains("Subject: shop leaks descriptors: tcp 10.0.0.5:5432\n"))
    #expect(read.contains("fdwatch explain 4711-88-1\n"))
    #expect(read.contains("How it ended: retracted."))
  }
}
