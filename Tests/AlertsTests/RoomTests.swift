// SPDX-License-Identifier: Apache-2.0
// What is kept of alerts takes a bounded number of bytes, whatever processes are called and report.

import Descriptors
import Detection
import Foundation
import Testing

@testable import Alerts

private func stray(_ pid: Int32, of user: String = "attacker") -> AlertProcess {
  AlertProcess(
    pid: pid, startTime: UInt64(pid) * 7, command: "c\(pid)", executable: "/x", user: user, unit: nil)
}

private func size(_ book: AlertBook) throws -> Int { try JSONEncoder().encode(book.saved).count }

/// Text of so many bytes, each of which takes six in JSON.
private let awkward = String(repeating: "\u{1}", count: 2000)

@Suite struct `A full book of alerts` {
  @Test(arguments: [awkward, String(repeating: "/", count: 2000), "short"])
  func `is no larger than it may be, and keeps what others were told`(text: String) throws {
    var book = AlertBook()
    _ = book.alert(finding(), process(), at: .seconds(1))
    for pid in 1..<Int32(1500) {
      let kind = pid % 20 == 0 ? "\(pid)" + text : "\(pid % 20)"
      _ = book.report("\(pid) \(text)", subject: kind, of: stray(1 + pid / 20), at: at(.seconds(2)))
    }
    // What came in since it was weighed is less than a sixteenth.
    #expect(try size(book) <= AlertBook.room * 17 / 16)
    #expect(book.saved.count > 50 && book.firing.contains { $0.unit == process().unit })
    // Nor is it larger after a restart.
    var next = AlertBook()
    next.restore(book.saved, at: .seconds(3))
    _ = next.report(text, subject: "r", of: stray(9999), at: at(.seconds(4)))
    #expect(try size(next) <= AlertBook.room * 17 / 16)
  }

  @Test func `takes the weight of each part into account`() throws {
    for text in ["", "x", awkward, "a/b\"\\"] {
      var found = finding(text)
      found.evidence = [text, text]
      found.settles = text
      found.blame = Blame(profile: "p", stacks: [.init(frames: [text, text], own: 0, share: 1)], remark: text)
      found.timeToLimitInterval = .seconds(1)...Duration.seconds(9)
      var alert = Alert(id: "12345678", type: .leak, firstSeen: 1_764_000_000.123, unit: nil, text: text, members: [])
      alert.take(
        AlertMember(
          process: AlertProcess(
            pid: .max, startTime: .max, command: text, executable: text, user: text, unit: text, sessionUser: "u"),
          finding: found, count: 1 << 40, limits: Limits(soft: .max, hard: .max)))
      let bytes = try JSONEncoder().encode(alert).count
      #expect(alert.weight >= bytes + 100 && alert.weight <= 2 * bytes + 1000, "\(alert.weight) for \(bytes)")
    }
  }

  @Test func `names a bounded number of processes of one alert, the most urgent`() {
    var book = AlertBook()
    for pid in 1...Int32(2 * Alert.mostMembers) {
      _ = book.alert(finding(left: .seconds(100_000 - Int(pid))), process(pid), at: .seconds(1))
    }
    let members = book.firing.first?.members ?? []
    #expect(members.count == Alert.mostMembers && members.first?.process.pid == Int32(2 * Alert.mostMembers))
  }

  @Test func `keeps few suspicions of one account where they are long`() throws {
    var book = AlertBook()
    for pid in 1..<Int32(30) {
      _ = book.take(
        .suspected(finding("/\(pid)\(awkward)")), of: stray(pid), count: 1, limits: Limits(soft: 9, hard: 9),
        at: at(.seconds(60) * Int(pid)))
    }
    #expect(try !book.suspected.isEmpty && size(book) <= AlertBook.suspicionRoom.account * 3 / 2)
    let others = book.take(
      .suspected(finding()), of: process(), count: 1, limits: Limits(soft: 9, hard: 9), at: at(.seconds(20_000)))
    #expect(others.words == [.suspected])
  }
}

@Suite struct `A full ledger of units` {
  @Test func `is no larger than it may be, and keeps what others left`() throws {
    var ledger = UnitLedger()
    func exit(_ unit: String, _ command: String, _ user: String, _ target: String, at second: Int) {
      var process = stray(5, of: user)
      (process.unit, process.command) = (unit, command)
      let left = Leftovers(
        kind: .file, target: target, survivors: 6, evidence: 5, placesSum: 3, thirds: 7, span: 100)
      ledger.exited(
        ExitedWorker(
          process, limits: Limits(soft: 9, hard: 9), run: 7, leftovers: [left, left], seconds: 100,
          lastSeen: .seconds(second)), at: .seconds(second))
    }
    exit("victim.service", "v", "root", "/x", at: 1)
    for number in 0..<60 { exit("user.scope", "c\(number % 20)", "attacker", "/\(number)" + awkward, at: 2) }
    #expect(try JSONEncoder().encode(ledger).count <= UnitLedger.room)
    #expect(ledger.runs["victim.service"] == 7)
  }
}
