// SPDX-License-Identifier: Apache-2.0
// Leaks that are suspected: the tier below alerts.

import Descriptors
import Detection
import Foundation
import Testing

@testable import Alerts

extension AlertBook {
  fileprivate mutating func suspect(_ finding: Finding, _ process: AlertProcess, at time: Duration) -> [AlertEvent] {
    take(.suspected(finding), of: process, count: 200, limits: limits, at: at(time))
  }
}

@Suite struct `A suspected leak` {
  @Test func `is reported once, and the alert that follows has its id`() throws {
    var book = AlertBook()
    let first = try #require(book.suspect(finding(), process(), at: .seconds(10)).first)
    #expect(first.word == .suspected && first.priority == 5 && book.firing.isEmpty)
    #expect(book.suspect(finding(), process(813), at: .seconds(11)).isEmpty, "a worker of the same unit joins it")
    #expect(book.suspected.map(\.members.count) == [2])
    let alert = try #require(book.alert(finding(leaked: 40), process(), at: .seconds(60)).first)
    #expect(alert.word == .alert && alert.alert.id == first.alert.id && alert.alert.firstSeen == first.alert.firstSeen)
    #expect(book.suspected.isEmpty)
    #expect(book.suspect(finding(), process(813), at: .seconds(70)).isEmpty, "the alert covers it")
  }

  @Test func `keeps its id where its class has another name by then`() throws {
    var book = AlertBook()
    let first = try #require(book.suspect(finding("/srv/a.log", id: 3), process(), at: .zero).first)
    let alert = try #require(book.alert(finding("/srv/*.log", id: 3), process(), at: .seconds(60)).first)
    #expect(alert.alert.id == first.alert.id && book.suspected.isEmpty)
  }

  @Test func `keeps its id over a restart, and ends with its process`() throws {
    var before = AlertBook()
    let first = try #require(before.suspect(finding(), process(), at: .zero).first)
    let bytes = try JSONEncoder().encode(before.saved)
    var book = AlertBook()
    book.restore(try JSONDecoder().decode(AlertBook.Saved.self, from: bytes), at: .seconds(5))
    #expect(book.processes == [process()], "or nobody would notice that it has exited")
    var other = book
    #expect(book.alert(finding(), process(), at: .seconds(60)).map(\.alert.id) == [first.alert.id])
    #expect(other.exited(process(), at: at(.seconds(6))).isEmpty && other.suspected.isEmpty)
  }

  @Test func `of one user is not reported without end`() {
    var book = AlertBook()
    for index in 0..<1000 {
      _ = book.suspect(finding("/srv/\(index)"), process(), at: .seconds(Int64(index) * 60))
    }
    #expect(book.suspected.count == 100)
    let stranger = AlertProcess(pid: 5, startTime: 5, command: "b", executable: nil, user: "eve", unit: nil)
    #expect(book.suspect(finding(), stranger, at: .seconds(60_000)).count == 1, "others have room of their own")
  }

  @Test func `says how probable it is, what else it could be and what would settle it`() throws {
    var suspected = finding()
    suspected.confidence = 0.62
    suspected.runnerUp = RunnerUp(explanation: .capacity, probability: 0.2)
    suspected.settles = "A pool would stop soon."
    var book = AlertBook()
    let event = try #require(book.suspect(suspected, process(), at: .zero).first)
    #expect(
      event.message == "orders.service orders[812]: tcp 10.0.0.5:5432 may leak (62 %): First. A pool would stop soon.")
    let object = try #require(
      try JSONSerialization.jsonObject(
        with: Data(event.json(host: "h", now: 0, time: { "\($0)" }).utf8)) as? [String: Any])
    #expect(object["event"] as? String == "suspected" && object["probability"] as? Double == 0.62)
    #expect((object["runner_up"] as? [String: Any])?["explanation"] as? String == "capacity")
    #expect(object["settles"] as? String == suspected.settles)
    let entry = JournalEntry(event)
    #expect(entry["FDWATCH_EVENT"] == "suspected" && entry["PRIORITY"] == "5")
    #expect(entry["FDWATCH_PROBABILITY"] == "0.62" && entry["FDWATCH_RUNNER_UP"] == "capacity")
    #expect(entry["FDWATCH_SETTLES"] == suspected.settles && entry["FDWATCH_ALERT_ID"] == event.alert.id)
  }
}
