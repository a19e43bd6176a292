// SPDX-License-Identifier: Apache-2.0
// The life of alerts, fed by hand: time is a parameter.

import Descriptors
import Detection
import Foundation
import Testing

@testable import Alerts

let hour = Duration.seconds(3600)
let limits = Limits(soft: 1024, hard: 4096)

func process(_ pid: Int32 = 812, unit: String? = "orders.service") -> AlertProcess {
  AlertProcess(
    pid: pid, startTime: UInt64(pid) * 7, command: "orders", executable: "/usr/bin/orders", user: "www", unit: unit)
}

/// - Parameter id: of its class, whatever that is called; by default another for each target.
func finding(
  _ target: String = "10.0.0.5:5432", left: Duration? = .seconds(100 * 3600), leaked: Int = 12, id: Int? = nil
) -> Finding {
  Finding(
    id: id ?? target.utf8.reduce(1) { ($0 * 31 + Int($1)) % 1_000_003 }, kind: .tcp, target: target, leaked: leaked,
    since: .seconds(60), ratePerHour: 38, rateInterval: 30...45,
    timeToLimit: left, timeToLimitInterval: nil, confidence: 0.98, evidence: ["First."])
}

func at(_ time: Duration) -> Moment { Moment(time: time, wall: 1_000_000 + time / .seconds(1)) }

extension AlertBook {
  mutating func alert(_ finding: Finding, _ process: AlertProcess, at time: Duration) -> [AlertEvent] {
    take(.alert(finding), of: process, count: 200, limits: limits, at: at(time))
  }
  mutating func end(
    _ finding: Finding, _ process: AlertProcess, _ how: Resolution = .closed, at time: Duration
  ) -> [AlertEvent] {
    take(.resolved(finding, how), of: process, count: 20, limits: limits, at: at(time))
  }
}

extension [AlertEvent] {
  var words: [AlertWord] { map(\.word) }
}

@Suite struct `An alert` {
  @Test func `is told once, and resolved with how`() {
    var book = AlertBook()
    let first = book.alert(finding(), process(), at: .zero)
    #expect(first.words == [.alert] && first[0].alert.worst?.process.pid == 812)
    #expect(book.update(finding(leaked: 30), of: process(), count: 230, limits: limits, at: at(.seconds(60))).isEmpty)
    #expect(book.firing.map(\.leaked) == [30])
    let end = book.end(finding(), process(), .retracted, at: .seconds(120))
    #expect(end.words == [.resolved] && end[0].resolution == .retracted && end[0].alert.id == first[0].alert.id)
    #expect(book.firing.isEmpty)
  }

  @Test func `of forty workers is one, with a count, and over with the last`() {
    var book = AlertBook()
    let events = (1...40).flatMap { book.alert(finding(), process($0), at: .seconds(Int64($0))) }
    #expect(events.words == [.alert])
    #expect(book.firing.count == 1 && book.firing[0].members.count == 40 && book.firing[0].leaked == 480)
    #expect(book.firing[0].headline.hasPrefix("orders.service (40 processes) leaks tcp 10.0.0.5:5432: 480 open"))
    #expect((1...39).flatMap { book.end(finding(), process($0), at: .seconds(100)) }.isEmpty)
    #expect(book.end(finding(), process(40), at: .seconds(101)).words == [.resolved])
  }

  @Test func `of workers whose targets have their pids in them is one`() {
    var book = AlertBook()
    let told = (4711...4720).flatMap { book.alert(finding("/x/leak-\($0)-*"), process($0), at: .zero) }
    #expect(told.words == [.alert] && book.firing.map(\.members.count) == [10])
    #expect((4711...4719).flatMap { book.end(finding("/x/leak-\($0)-*"), process($0), at: .seconds(1)) }.isEmpty)
    #expect(book.end(finding("/x/leak-4720-*"), process(4720), at: .seconds(1)).words == [.resolved])
    // A part of a number is none of its own, nor is an address's.
    #expect(book.alert(finding("/x/14711"), process(471), at: .seconds(2)).words == [.alert])
    #expect(book.alert(finding("/x/24711"), process(471), at: .seconds(2)).words == [.alert])
  }

  @Test func `of another cause, unit or lone process is another`() {
    var book = AlertBook()
    let all = [
      book.alert(finding(), process(), at: .zero), book.alert(finding("10.0.0.6:80"), process(), at: .zero),
      book.alert(finding(), process(5, unit: "mail.service"), at: .zero),
      book.alert(finding(), process(6, unit: nil), at: .zero), book.alert(finding(), process(7, unit: nil), at: .zero),
    ]
    #expect(all.map(\.words) == Array(repeating: [.alert], count: 5))
    #expect(Set(book.firing.map(\.id)).count == 5)
  }

  @Test func `that grows in step with another of its process says so`() throws {
    var book = AlertBook()
    let first = try #require(book.alert(finding("a", leaked: 60), process(), at: .zero).first)
    func evidence(_ leaked: Int, _ process: AlertProcess) throws -> String? {
      var other = finding("b\(leaked)", leaked: leaked)
      other.ratePerHour = 38 * Double(leaked) / 60
      let told = book.alert(other, process, at: .seconds(9))
      return try #require(told.first?.alert.worst).finding.evidence.last
    }
    for leaked in [31, 57, 62, 118] {
      #expect(
        try evidence(leaked, process())
          == "It grows in step with alert \(first.alert.id), tcp a: they may have one cause.")
      _ = book.end(finding("b\(leaked)"), process(), at: .seconds(9))
    }
    #expect(try evidence(90, process()) == "First.")
    // As many, but not as fast.
    var slow = finding("slow", leaked: 60)
    slow.ratePerHour = 2
    #expect(book.alert(slow, process(), at: .seconds(9)).first?.alert.worst?.finding.evidence == ["First."])
    #expect(try evidence(60, process(5)) == "First.", "another process")
  }

  @Test func `is escalated once for each band of urgency`() {
    var book = AlertBook()
    #expect(book.alert(finding(left: hour * 48), process(), at: .zero)[0].priority == 4)
    func told(_ left: Duration) -> [AlertEvent] {
      book.update(finding(left: left), of: process(), count: 500, limits: limits, at: at(.seconds(60)))
    }
    #expect(told(hour * 20).words == [.escalated])
    #expect(told(hour * 19).isEmpty)
    // Where the priority rises, it is told.
    #expect(told(hour * 5).map(\.priority) == [3] && told(hour / 2).words == [.escalated])
    let last = told(.seconds(500))
    #expect(last.words == [.escalated] && last[0].priority == 2)
    #expect(told(hour * 48).isEmpty && told(.seconds(400)).isEmpty)
  }

  @Test func `is as urgent at its end as at its worst, for hooks`() {
    var book = AlertBook()
    _ = book.alert(finding(left: hour / 2), process(1), at: .zero)
    _ = book.alert(finding(left: hour * 48), process(2), at: .zero)
    #expect(book.end(finding(), process(1), at: .seconds(1)).isEmpty)
    let end = book.end(finding(), process(2), at: .seconds(2))
    #expect(end.first?.alert.priority == 4 && end.first?.alert.toldPriority == 3 && end.first?.priority == 5)
  }

  @Test func `is reminded of as the policy says now`() {
    var book = AlertBook()
    _ = book.alert(finding(), process(), at: .zero)
    book.policy.reminders = nil
    #expect((1...100).allSatisfy { book.tick(at: at(hour * $0)).isEmpty })
    book.policy.reminders = .seconds(1800)
    #expect(book.tick(at: at(hour * 101)).isEmpty)
    #expect((102...106).contains { !book.tick(at: at(hour * $0)).isEmpty })
  }

  @Test func `reminds ever more rarely`() {
    var book = AlertBook()
    _ = book.alert(finding(), process(), at: .zero)
    var reminders: [Int] = []
    for minute in 0..<(60 * 24 * 20) where !book.tick(at: at(.seconds(60) * minute)).isEmpty {
      reminders.append(minute / 60)
    }
    #expect(reminders.prefix(5) == [4, 12, 28, 60, 124])
    #expect(reminders.dropFirst(6).isEmpty || reminders[6] - reminders[5] <= 7 * 24)
  }

  @Test func `that comes back within an hour keeps its name, and flapping is told no more than three times`() {
    var book = AlertBook()
    var told: [AlertEvent] = []
    for turn in 0..<20 {
      told += book.alert(finding(), process(), at: .seconds(Int64(turn) * 600))
      told += book.end(finding(), process(), at: .seconds(Int64(turn) * 600 + 300))
    }
    #expect(Set(told.map(\.alert.id)).count == 1)
    #expect(told.words == [.alert, .resolved, .alert, .resolved, .alert, .resolved])
    // Its end is told when it stays away.
    #expect(book.tick(at: at(.seconds(12_000 + 7200))).words == [.resolved])
    // And what comes much later is another.
    let later = book.alert(finding(), process(), at: .seconds(90_000))
    #expect(later.words == [.alert] && later[0].alert.id != told[0].alert.id)
  }

  @Test func `that flaps and stays in the end is told again, and reminded of`() throws {
    var book = AlertBook()
    for turn in 0..<4 {
      _ = book.alert(finding(), process(), at: .seconds(Int64(turn) * 600))
      _ = book.end(finding(), process(), at: .seconds(Int64(turn) * 600 + 300))
    }
    #expect(book.alert(finding(), process(), at: hour).isEmpty)
    #expect(book.tick(at: at(hour + .seconds(599))).isEmpty)
    let told = book.tick(at: at(hour + .seconds(600)))
    #expect(told.words == [.alert] && told[0].message.hasSuffix(" (it has come and gone 4 times)"))
    let reminders = (1...30).filter { !book.tick(at: at(hour * $0)).isEmpty }
    #expect(reminders == [6, 14, 30], "after that alert, ever more rarely")
    #expect(book.end(finding(), process(), at: hour * 31).words == [.resolved])
  }

  @Test func `that comes back for the third time is told at once where it is critical`() {
    var book = AlertBook()
    for turn in 0..<6 {
      _ = book.alert(finding(), process(), at: .seconds(Int64(turn) * 60))
      _ = book.end(finding(), process(), at: .seconds(Int64(turn) * 60 + 30))
    }
    let told = book.alert(finding(left: .seconds(300)), process(), at: hour / 2)
    #expect(told.words == [.alert] && told.first?.priority == 2)
    #expect(book.end(finding(), process(), at: hour / 2).words == [.resolved])
    #expect(book.alert(finding(), process(), at: hour / 2).isEmpty)
    let later = book.update(
      finding(left: .seconds(300)), of: process(), count: 9, limits: limits, at: at(hour / 2 + .seconds(1)))
    #expect(later.words == [.alert])
  }

  @Test(arguments: [hour * 100, .seconds(60)])
  func `of another process is another alert, however often it comes`(left: Duration) {
    var book = AlertBook()
    // As where a hook restarts the unit at each alert.
    let told = (0..<12).flatMap { turn in
      let time = Duration.seconds(240) * turn
      return book.alert(finding(left: left), process(Int32(100 + turn)), at: time)
        + book.exited(process(Int32(100 + turn)), at: at(time + .seconds(60)))
    }
    #expect(told.words == (0..<12).flatMap { _ in [AlertWord.alert, .resolved] })
    #expect(Set(told.map(\.alert.id)).count == 12)
  }

  @Test func `keeps its name when more targets make what leaks be called by another`() throws {
    var book = AlertBook()
    let first = try #require(book.alert(finding("/x/10-*", id: 5), process(), at: .zero).first)
    func wider(_ process: AlertProcess) -> [AlertEvent] {
      book.update(finding("/x/*", id: 5), of: process, count: 9, limits: limits, at: at(.seconds(9)))
    }
    #expect(wider(process()).isEmpty && book.firing.map(\.id) == [first.alert.id] && book.firing[0].target == "/x/*")
    // Another worker that leaks the same joins it; another class of the same process does not.
    #expect(wider(process(5)).isEmpty && book.firing.count == 1)
    // Two that call it by different names do not pull it back and forth.
    let revision = book.revision
    for turn in 0..<10 {
      let name = turn % 2 == 0 ? "/x/10-*" : "/x/*"
      let worker = process(turn % 2 == 0 ? 5 : 812)
      #expect(
        book.update(finding(name, id: 5), of: worker, count: 9, limits: limits, at: at(.seconds(9))).isEmpty)
    }
    #expect(book.revision == revision && book.firing.count == 1)
    #expect(book.alert(finding("/x/10-*", id: 6), process(), at: .seconds(10)).words == [.alert])
    #expect(book.end(finding("/x/*", id: 5), process(5), at: .seconds(11)).isEmpty)
    let end = book.end(finding("/*", id: 5), process(), at: .seconds(12))
    #expect(end.words == [.resolved] && end[0].alert.id == first.alert.id && book.firing.count == 1)
  }

  @Test func `of a finding that is a part of another now is over`() {
    var book = AlertBook()
    _ = book.alert(finding("a"), process(), at: .zero)
    _ = book.alert(finding("b"), process(), at: .zero)
    let end = book.merged(finding("b"), of: process(), at: at(.seconds(1)))
    #expect(end.words == [.resolved] && end[0].resolution == .merged && book.firing.map(\.target) == ["a"])
    #expect(end[0].message.hasSuffix("over, it is a part of another of its leaks, which goes on"))
  }

  @Test func `of who is not watched any more is over, at no cost to others`() {
    var book = AlertBook()
    for pid in 1...10 { _ = book.alert(finding(), process(Int32(pid), unit: nil), at: .zero) }
    _ = book.tick(at: at(hour / 2))
    let ended = (1...10).flatMap { book.unwatched(process($0, unit: nil), at: at(hour / 2)) }
    #expect(book.firing.isEmpty && ended.count == 10 && ended[0].resolution == .unwatched)
    #expect(ended[0].message == "orders[1] leaked tcp 10.0.0.5:5432: over, it is not watched any more")
    let told = (31...40).flatMap { book.alert(finding(), process($0, unit: nil), at: hour / 2) }
    #expect(told.count == 10)
  }

  @Test func `that gets a stack later tells it once`() {
    var book = AlertBook()
    _ = book.alert(finding(), process(), at: .zero)
    var known = finding()
    known.blame = Blame(profile: "file", stacks: [.init(frames: ["a.B /x.go:7"], own: 0, share: 0.97)])
    let told = book.take(.attributed(known), of: process(), count: 9, limits: limits, at: at(.seconds(5)))
    #expect(told.words == [.notice] && told[0].message.contains("97 % were opened by a.B (x.go:7)"))
    #expect(book.take(.attributed(known), of: process(), count: 9, limits: limits, at: at(.seconds(6))).isEmpty)
  }
}

@Suite struct `A book of alerts` {
  @Test func `that is restored tells nothing again, and keeps when it was first seen`() throws {
    var before = AlertBook(seed: 5)
    let told = before.alert(finding(), process(), at: .seconds(10))
    let bytes = try JSONEncoder().encode(before.saved)
    var book = AlertBook(seed: 77)
    book.restore(try JSONDecoder().decode(AlertBook.Saved.self, from: bytes), at: .seconds(400))
    #expect(book.alert(finding(), process(), at: .seconds(500)).isEmpty)
    // It was confirmed, so it is not over by itself.
    #expect(book.endUnconfirmed(at: at(hour * 9)).isEmpty)
    #expect(book.firing[0].id == told[0].alert.id && book.firing[0].firstSeen == told[0].alert.firstSeen)
    #expect(book.end(finding(), process(), at: .seconds(600)).words == [.resolved])
  }

  @Test func `ends what exited while nobody looked`() {
    var before = AlertBook()
    _ = before.alert(finding(), process(), at: .zero)
    var book = AlertBook()
    book.restore(before.saved, at: .zero)
    let events = book.exited(process(), at: at(.seconds(5)))
    #expect(events.words == [.resolved] && events[0].resolution == .exited)
  }

  @Test func `ends after hours what no detector has confirmed`() {
    var before = AlertBook()
    _ = before.alert(finding(), process(), at: .zero)
    var book = AlertBook()
    book.restore(before.saved, at: hour)
    #expect(book.endUnconfirmed(at: at(hour * 6)).isEmpty)
    #expect(book.endUnconfirmed(at: at(hour * 8)).words == [.resolved])
  }

  @Test func `that is restored does not end what is said of a unit as a whole`() {
    var before = AlertBook()
    var unit = process(0)
    unit.startTime = 0
    _ = before.alert(finding(), unit, at: .zero)
    var book = AlertBook()
    book.restore(before.saved, at: .zero)
    #expect(book.endUnconfirmed(at: at(hour * 100)).isEmpty && book.unitsWithoutProcess == ["orders.service"])
    #expect(book.endUnit("orders.service", at: at(hour * 100)).words == [.resolved])
  }

  @Test func `takes reports of those who have gone as their user's`() {
    var book = AlertBook()
    for pid in 1...500 {
      var gone = process(Int32(pid), unit: nil)
      gone.startTime = 0
      let told = book.report("r", subject: "r\(pid)", of: gone, at: at(.milliseconds(pid)))
      #expect(told.count <= 1)
    }
    #expect(book.firing.count <= AlertBook.mostReports + 1)
    let revision = book.revision
    for turn in 0..<100 {
      _ = book.report("r", subject: "r1", of: process(1, unit: "a\(turn)"), at: at(.seconds(1)))
    }
    #expect(book.revision - revision <= 20, "whoever reports without end does not make it be saved without end")
  }

  @Test func `keeps for hours what concerns a process that cannot be watched for now`() {
    var book = AlertBook()
    _ = book.alert(finding(), process(), at: .zero)
    _ = book.alert(finding(), process(5), at: .zero)
    book.lost(process(), at: at(hour))
    #expect(book.endUnconfirmed(at: at(hour * 6)).isEmpty && book.firing[0].members.count == 2)
    // Of two it is the other one that goes on.
    #expect(book.endUnconfirmed(at: at(hour * 8)).isEmpty && book.firing[0].members.map(\.process) == [process(5)])
    book.lost(process(5), at: at(hour * 9))
    #expect(book.update(finding(), of: process(5), count: 9, limits: limits, at: at(hour * 10)).isEmpty)
    #expect(book.endUnconfirmed(at: at(hour * 24)).isEmpty && book.firing.count == 1)
  }

  @Test func `keeps the most urgent of many members in front`() throws {
    var book = AlertBook()
    var random = SystemRandomNumberGenerator()
    for turn in 0..<2000 {
      let left = Duration.seconds(Int64.random(in: 100_000...200_000, using: &random))
      _ = book.update(
        finding(left: left), of: process(Int32(turn % 100)), count: 1, limits: limits, at: at(.seconds(1)))
    }
    let left = try #require(book.firing.first).members.compactMap(\.finding.timeToLimit)
    #expect(left.count == 100 && left == left.sorted())
  }

  @Test func `does not grow without end`() {
    var book = AlertBook()
    for number in 0..<6000 {
      _ = book.alert(finding("/x/\(number)"), process(), at: .seconds(Int64(number)))
      _ = book.end(finding("/x/\(number)"), process(), at: .seconds(Int64(number)))
    }
    #expect(book.saved.count < 2000)
  }

  @Test func `takes many reports of one kind as one`() {
    var book = AlertBook()
    let told = (0..<50).flatMap { number in
      book.report("file /x/\(number): missing close", subject: "missing close", of: process(), at: at(.seconds(number)))
    }
    #expect(told.words == [.alert] && told[0].alert.type == .report && told[0].priority == 5)
  }

  @Test func `lets no number of reports hold back a leak`() {
    var book = AlertBook()
    for number in 0..<500 {
      _ = book.report(
        "r\(number)", subject: "r\(number)", of: process(Int32(number), unit: nil), at: at(.milliseconds(number)))
    }
    #expect(book.alert(finding(), process(), at: .seconds(1)).words == [.alert])
  }

  @Test func `tells twenty kinds of reports of one owner apart, and forgets the oldest of all`() {
    var book = AlertBook()
    for number in 0..<100 { _ = book.report("r", subject: "r\(number)", of: process(), at: at(.seconds(number))) }
    #expect(book.firing.count == AlertBook.mostReports + 1)
    for number in 0..<6000 {
      _ = book.report("r", subject: "r", of: process(Int32(number), unit: nil), at: at(.seconds(number)))
    }
    #expect(book.saved.count < 2000)
  }

  @Test func `does not end what was reported: it was over when it was told`() {
    var book = AlertBook()
    _ = book.report("r", subject: "r", of: process(), at: at(.zero))
    #expect(book.exited(process(), at: at(.seconds(1))).isEmpty && book.firing.isEmpty)
    #expect(book.tick(at: at(hour * 9)).isEmpty)
  }

  @Test func `ends all that concerned a process which is gone, and nothing of its successor`() {
    var book = AlertBook()
    _ = book.alert(finding(), process(), at: .zero)
    _ = book.limit(
      "descriptors", of: process(), owner: "orders.service", text: "full", finding: finding(), count: 1, limits: limits,
      at: at(.zero))
    #expect(
      book.isNear("descriptors", of: process(), owner: "") && book.owners(near: "descriptors") == ["orders.service"])
    #expect(book.processes == [process()])
    var successor = process()
    successor.startTime += 1
    #expect(book.exited(successor, at: at(.seconds(1))).isEmpty)
    #expect(book.exited(process(), at: at(.seconds(2))).words == [.resolved, .resolved])
    #expect(!book.isNear("descriptors", of: process(), owner: "") && book.processes.isEmpty)
  }

  @Test func `that was restored on another boot knows only what went on`() {
    var before = AlertBook()
    _ = before.alert(finding(), process(), at: hour * 100)
    _ = before.alert(finding("gone"), process(), at: hour * 100)
    _ = before.end(finding("gone"), process(), at: hour * 100)
    var book = AlertBook()
    book.restore(before.saved, isThisBoot: false, at: .zero)
    #expect(book.saved.count == 1)
    #expect(book.exited(process(), at: at(.seconds(5))).words == [.resolved])
  }
}

@Suite struct `A limit` {
  private func observe(_ watch: inout LimitWatch, _ counts: [Int], soft: UInt64 = 1000) -> [LimitWatch.Change] {
    counts.enumerated().compactMap { index, count in
      watch.observe(
        count: count, limits: Limits(soft: soft, hard: soft), at: .seconds(60) * index, warning: .seconds(3600))
    }
  }

  @Test func `is near by the time that is left, and far again with a distance`() {
    var watch = LimitWatch()
    // From 500 on by 5 a minute: below an hour from 700 on.
    let changes = observe(&watch, (0..<80).map { 500 + $0 * 5 })
    guard case .near(let left, let perHour)? = changes.first else { return #expect(Bool(false), "\(changes)") }
    #expect(left.map { $0 < .seconds(3600) } == true && abs(perHour - 300) < 1)
    // And how it stands once a minute, as long as it is so.
    #expect((30...40).contains(changes.count), "\(changes)")
    #expect(watch.isNear)
    #expect(observe(&watch, Array(repeating: 300, count: 20)) == [.far])
  }

  @Test func `is not near for who lives with much, nor by a short burst, nor where there is none`() {
    var steady = LimitWatch()
    #expect(observe(&steady, Array(repeating: 900, count: 100)).isEmpty)
    var burst = LimitWatch()
    #expect(observe(&burst, Array(repeating: 400, count: 20) + [900, 900] + Array(repeating: 400, count: 20)).isEmpty)
    var unlimited = LimitWatch()
    #expect(observe(&unlimited, (0..<100).map { $0 * 1000 }, soft: 1 << 40).isEmpty)
  }

  @Test func `is near at once where hardly any is left`() {
    var watch = LimitWatch()
    #expect(observe(&watch, [100, 990]) == [.near(timeLeft: .zero, perHour: 0)])
  }
}

@Suite struct `A silence` {
  @Test(arguments: [
    ("orders.service", true), ("orders", true), ("ord*", true), ("*", true), ("*.service", true),
    ("mail.service", false), ("o*e*s*.s*e", true), ("*orders.service*", true), ("**", true), ("o*x*", false),
    ("*ers", true), ("orders.service*e", false), (String(repeating: "*r", count: 40), false),
    ("order", false), ("", false),
  ]) func `covers a unit by its name or a pattern`(subject: String, isCovered: Bool) {
    let member = AlertMember(process: process(), finding: finding(), count: 1, limits: limits)
    let alert = Alert(id: "x", type: .leak, firstSeen: 0, unit: "orders.service", members: [member])
    #expect(Silence(subject: subject, until: 100, reason: "", by: "").covers(alert, at: 99) == isCovered)
    #expect(!Silence(subject: subject, until: 100, reason: "", by: "").covers(alert, at: 100))
  }

  /// So long from the beginning of ``at(_:)``.
  private func silence(_ span: Duration) -> Silence {
    Silence(subject: "orders", until: at(span).wall, reason: "known", by: "me")
  }

  private func isQuiet(_ events: [AlertEvent]) -> Bool { events.allSatisfy(\.alert.isSilenced) }

  @Test func `leaves what begins to the journal, and tells it when it ends`() throws {
    var book = AlertBook()
    book.silence(silence(hour), at: at(.zero))
    let begun = book.alert(finding(left: hour / 12), process(), at: .seconds(60))
    #expect(begun.words == [.alert] && isQuiet(begun) && begun[0].priority == 6)
    #expect(JournalEntry(begun[0])["FDWATCH_SILENCED"] == "1")
    #expect(book.update(finding(left: hour / 12), of: process(), count: 9, limits: limits, at: at(hour / 2)).isEmpty)
    #expect(book.tick(at: at(hour / 2)).isEmpty && book.firing[0].isSilenced)
    let told = book.tick(at: at(hour))
    #expect(told.words == [.alert] && !isQuiet(told) && told[0].alert.id == begun[0].alert.id && told[0].priority == 2)
    #expect(book.tick(at: at(hour + .seconds(1))).isEmpty && !book.firing[0].isSilenced)
    #expect(!isQuiet(book.end(finding(), process(), at: hour * 2)))
  }

  @Test func `over a restart knows still who has heard of what`() throws {
    var before = AlertBook()
    before.silence(silence(hour), at: at(.zero))
    _ = before.alert(finding(), process(), at: .seconds(60))
    var book = AlertBook()
    book.restore(try JSONDecoder().decode(AlertBook.Saved.self, from: JSONEncoder().encode(before.saved)), at: hour / 2)
    book.silences = before.silences
    #expect(book.tick(at: at(hour / 2)).isEmpty)
    #expect(book.tick(at: at(hour)).words == [.alert])
  }

  @Test func `lets the end of what was told before be told, and keeps what it covers whole to itself`() {
    var book = AlertBook()
    #expect(!isQuiet(book.alert(finding(), process(), at: .zero)))
    book.silence(silence(hour * 9), at: at(.zero))
    let end = book.end(finding(), process(), at: hour)
    #expect(end.words == [.resolved] && !isQuiet(end))
    let whole = book.alert(finding("x"), process(), at: hour) + book.end(finding("x"), process(), at: hour)
    #expect(whole.words == [.alert, .resolved] && isQuiet(whole))
  }

  @Test func `holds back what grew more urgent until it is taken back, and reminders`() {
    var book = AlertBook()
    _ = book.alert(finding(), process(), at: .zero)
    book.silence(silence(hour * 1000), at: at(.zero))
    for turn in 1..<100 {
      let left = turn < 50 ? hour * 48 : hour / 2
      #expect(book.update(finding(left: left), of: process(), count: 9, limits: limits, at: at(hour * turn)).isEmpty)
      #expect(book.tick(at: at(hour * turn)).isEmpty)
    }
    book.silence(silence(.zero), at: at(hour * 100))
    #expect(book.activeSilences(at: at(hour * 100)).isEmpty)
    #expect(book.tick(at: at(hour * 100)).words == [.escalated])
    #expect(book.tick(at: at(hour * 100 + .seconds(1))).isEmpty, "once")
    book.silence(silence(hour * 1000), at: at(hour * 100))
    #expect(book.tick(at: at(hour * 101)).isEmpty)
    book.silence(silence(.zero), at: at(hour * 102))
    #expect(book.tick(at: at(hour * 102)).words == [.reminder])
    #expect(book.tick(at: at(hour * 102 + .seconds(1))).isEmpty, "once")
  }

  @Test func `that is over is noticed by whoever comes first`() {
    var book = AlertBook()
    _ = book.alert(finding(), process(), at: .zero)
    book.silence(silence(hour), at: at(.zero))
    #expect(book.tick(at: at(.seconds(1))).isEmpty)
    // A poll, and not the passing of time; it is told with all others that it covered.
    #expect(book.update(finding(), of: process(), count: 9, limits: limits, at: at(hour)).isEmpty)
    #expect(book.tick(at: at(hour)).words == [.reminder])
    #expect(book.tick(at: at(hour)).isEmpty)
  }

  @Test func `is taken back with and without the ending of the unit's name`() {
    var book = AlertBook()
    let before = book.silence(silence(hour), at: at(.zero))
    #expect(!before)
    var end = silence(.zero)
    end.subject = "orders.service"
    let (first, second) = (book.silence(end, at: at(.seconds(1))), book.silence(end, at: at(.seconds(1))))
    #expect(first && !second)
    for number in 0..<300 {
      var other = silence(hour * (number + 2))
      other.subject = "u\(number)"
      book.silence(other, at: at(.seconds(2)))
    }
    #expect(book.silences.count == AlertBook.mostSilences && book.silences.contains { $0.subject == "u299" })
  }

  @Test func `of a thousand leaks gives few entries, holds back no other alert, and gives few when it ends`() {
    var book = AlertBook()
    book.silence(silence(hour), at: at(.zero))
    book.silences[0].subject = "batch-*"
    let noted = (1...1000).flatMap { book.alert(finding(), process($0, unit: "batch-\($0).service"), at: .seconds(1)) }
    #expect(noted.count == 20 && isQuiet(noted))
    let loud = book.alert(finding(), process(5000), at: .seconds(2))
    #expect(loud.words == [.alert] && !isQuiet(loud))
    #expect(isQuiet(book.tick(at: at(.seconds(100)))))
    let told = (0..<10).flatMap { book.tick(at: at(hour + .seconds($0))) }
    #expect(told.count == 5 && told.allSatisfy { $0.summary?.count == 200 })
    #expect(Set(told.flatMap { $0.summary?.items.map(\.id) ?? [] }).count == 1000, "each is told of, by its name")
  }

  @Test func `of nine alerts ends with one entry, which names those that nobody has heard of`() throws {
    var book = AlertBook()
    for pid in 1...4 { _ = book.alert(finding(), process(Int32(pid), unit: "orders-\(pid).service"), at: .zero) }
    book.silence(silence(hour * 9), at: at(.zero))
    book.silences[0].subject = "orders-*"
    for pid in 5...9 { _ = book.alert(finding(), process(Int32(pid), unit: "orders-\(pid).service"), at: .zero) }
    _ = book.tick(at: at(.seconds(1)))
    var end = silence(.zero)
    end.subject = "orders-*"
    book.silence(end, at: at(.seconds(2)))
    let told = book.tick(at: at(.seconds(2)))
    let summary = try #require(told.first?.summary)
    #expect(told.count == 1 && told[0].word == .alert && !told[0].alert.isSilenced && told[0].priority == 4)
    #expect(summary.count == 9 && Set(summary.items.map(\.id)) == Set(book.firing.map(\.id)))
    #expect(told[0].message.hasPrefix("No longer silenced, 9 alerts of orders-1.service, orders-2.service, "))
    #expect(JournalEntry(told[0])["FDWATCH_ALERT_IDS"]?.split(separator: "\n").count == 9)
    #expect(told[0].json(host: "h", now: 0) { "\($0)" }.contains("\"alerts\":[{\"id\":\""))
    #expect(book.tick(at: at(.seconds(3))).isEmpty && !book.firing.contains { $0.isSilenced })
    // Whoever was told by it is told the end.
    #expect((1...9).flatMap { book.exited(process($0, unit: "orders-\($0).service"), at: at(hour)) }.count == 9)
  }

  @Test func `of many that ends tells what is critical and new by itself, and each hook of its own alerts only`() {
    var book = AlertBook()
    book.silence(silence(hour), at: at(.zero))
    book.silences[0].subject = "*"
    for pid in 1...8 {
      _ = book.take(
        .alert(finding(left: pid == 8 ? .seconds(60) : nil)), of: process(Int32(pid), unit: "u\(pid).service"),
        count: 1, limits: limits, routing: AlertRouting(hooks: [pid <= 3 ? "a" : "b"]), at: at(.zero))
    }
    let told = book.tick(at: at(hour))
    #expect(told.compactMap { $0.summary?.count } == [3, 4])
    #expect(told.compactMap { $0.summary == nil ? nil : $0.alert.routing.hooks } == [["a"], ["b"]])
    #expect(told.filter { $0.summary == nil }.map(\.alert.unit) == ["u8.service"])
  }

  @Test func `ends when its time has come by the clock on the wall, and holds again when that was wrong`() {
    var book = AlertBook()
    let day = 86400.0
    func wrong(_ time: Duration, _ jump: Double) -> Moment { Moment(time: time, wall: at(time).wall + jump) }
    book.silence(silence(hour), at: at(.zero))
    _ = book.alert(finding(), process(), at: .seconds(1))
    #expect(book.tick(at: wrong(.seconds(2), day)).words == [.alert])
    #expect(book.activeSilences(at: wrong(.seconds(2), day)).isEmpty)
    #expect(book.tick(at: at(.seconds(3))).isEmpty && book.firing[0].isSilenced)
    // Behind by a day it holds, and is over when the clock is right again.
    #expect(book.tick(at: wrong(.seconds(4), -day)).isEmpty && book.firing[0].isSilenced)
    #expect(book.tick(at: at(hour)).words == [.reminder])
  }
}
