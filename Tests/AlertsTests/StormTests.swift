// SPDX-License-Identifier: Apache-2.0
// Very many alerts at once: what is told, in which order, and that none is lost.

import Descriptors
import Detection
import Foundation
import Testing

@testable import Alerts

/// A process that a user has started by hand.
private func stray(_ pid: Int32, of user: String = "attacker") -> AlertProcess {
  AlertProcess(
    pid: pid, startTime: UInt64(pid) * 7, command: "c\(pid)", executable: nil, user: user, unit: nil)
}

/// A service of root's.
private func victim(_ pid: Int32 = 9) -> AlertProcess {
  AlertProcess(pid: pid, startTime: 1, command: "victimd", executable: nil, user: "root", unit: "victim.service")
}

@Suite struct `A storm of alerts` {
  @Test(arguments: [40, 2000])
  func `of one user delays no alert of a service, and hides none`(count: Int) throws {
    var book = AlertBook()
    var told: [AlertEvent] = []
    func minute(_ number: Int) -> Moment { at(.seconds(60) * number) }
    // All of them confirmed again and again, as polls do.
    for turn in 0..<3 {
      for pid in 1...Int32(count) { told += book.alert(finding(), stray(pid), at: minute(turn).time) }
      told += book.tick(at: minute(turn))
    }
    let attackers = told.filter { $0.summary == nil }
    #expect(attackers.count <= 3 * 10 && attackers.allSatisfy { $0.alert.account == "user attacker" })
    #expect(book.alert(finding(), victim(), at: minute(3).time).words == [.alert])
    #expect(book.update(finding(left: .seconds(60)), of: victim(), count: 1, limits: limits, at: minute(4)).count == 1)
  }

  @Test func `of several users lets a service have the next entry`() throws {
    var book = AlertBook()
    var pid: Int32 = 0
    func flood(at time: Duration) -> Int {
      (0..<5).reduce(0) { sum, user in
        sum
          + (0..<20).reduce(0) { sum, _ in
            pid += 1
            return sum + book.alert(finding(), stray(pid, of: "u\(user)"), at: time).count
          }
      }
    }
    #expect(flood(at: .zero) == 20)
    _ = book.tick(at: at(.seconds(1)))
    #expect(book.alert(finding(), victim(), at: .seconds(1)).isEmpty)
    var served: Int?
    for second in 2..<60 {
      // Whoever comes out of turn gets nothing as long as others wait.
      #expect(flood(at: .seconds(Int64(second))) == 0)
      if book.tick(at: at(.seconds(second))).contains(where: { $0.alert.unit == "victim.service" }) {
        served = second
        break
      }
    }
    // An entry is due every three seconds, and three others have not had any, either.
    #expect(try #require(served) <= 15)
  }

  @Test func `gives a bounded number of entries and a summary, and tells each of them in the end`() throws {
    var book = AlertBook()
    let first = (1...300).flatMap {
      book.alert(finding(), process($0, unit: "u\($0).service"), at: .milliseconds(Int64($0)))
    }
    #expect(first.count == 20 && book.firing.count == 300)
    var told = first
    var summaries: [AlertSummary] = []
    for second in 1...900 {
      for event in book.tick(at: at(.seconds(second))) {
        if let summary = event.summary { summaries.append(summary) } else { told.append(event) }
      }
    }
    #expect(told.allSatisfy { $0.word == .alert } && Set(told.map(\.alert.id)).count == 300 && told.count == 300)
    #expect(summaries.map(\.reason) == [.heldBack], "once for each that waits")
    #expect((260...280).contains(summaries[0].count) && summaries[0].shares.count == 10)
    #expect(summaries[0].unitCount == summaries[0].count)
  }

  @Test func `is summed up by user`() throws {
    var book = AlertBook()
    for pid in 1...50 { _ = book.alert(finding(), stray(Int32(pid)), at: .zero) }
    for number in 1...14 { _ = book.alert(finding("/x/\(number)"), victim(), at: .zero) }
    let told = (1...62).flatMap { book.tick(at: at(.seconds($0))) }.filter { $0.summary != nil }
    #expect(told.count == 1 && told[0].alert.routing.hooks == nil)
    let names = try #require(told[0].summary).shares.map(\.name)
    #expect(names.first == "user attacker" && Set(names).isSubset(of: ["user attacker", "victim.service"]))
    #expect(told[0].message.contains(" of user attacker"))
    #expect(JournalEntry(told[0])["FDWATCH_UNITS"]?.hasPrefix("user attacker") == true)
    let json = told[0].json(host: "h", now: 0) { "\($0)" }
    for part in ["\"suppressed\":", "\"units\":[\"user attacker\"", "\"counts\":["] { #expect(json.contains(part)) }
  }

  @Test func `never holds back what is critical, of whomever`() {
    var book = AlertBook()
    for pid in 1...500 { _ = book.alert(finding(), stray(Int32(pid)), at: .zero) }
    let told = book.update(finding(left: .seconds(60)), of: stray(1), count: 1000, limits: limits, at: at(.seconds(1)))
    #expect(told.words == [.escalated])
    #expect(book.alert(finding(left: .seconds(60)), process(501, unit: nil), at: .seconds(1)).words == [.alert])
  }

  @Test func `of critical alerts of one user is bounded, too, and delays nothing of others`() {
    var book = AlertBook()
    let told = (1...1000).flatMap { book.alert(finding(left: .seconds(60)), stray($0), at: .zero) }
    #expect((20...30).contains(told.count))
    let others =
      book.alert(finding(), victim(), at: .seconds(1))
      + book.alert(finding(left: .seconds(60)), process(5), at: .seconds(1))
    #expect(others.words == [.alert, .alert])
    // In the end each is told.
    var ids = Set((told + others).map(\.alert.id))
    for minute in 1...40 { ids.formUnion(book.tick(at: at(.seconds(60) * minute)).map(\.alert.id)) }
    #expect(book.firing.count { !ids.contains($0.id) } == 0)
  }

  @Test func `pays from one purse, by whatever names a user goes`() {
    var book = AlertBook()
    var told: [AlertEvent] = []
    for number in 1...100 {
      var one = stray(Int32(number))
      one.unit = number % 2 == 0 ? "user@1000.service" : "session-\(number).scope"
      one.sessionUser = "attacker"
      // A set-user-ID program that was started from a session.
      if number % 3 == 0 { one.user = "root" }
      told += book.alert(finding("/x/\(number)"), one, at: .zero)
      told += book.alert(finding(), stray(Int32(1000 + number)), at: .zero)
    }
    #expect(told.count == 10 && Set(told.map(\.alert.account)) == ["user attacker"])
    // A unit that serves many users has a purse for each.
    for number in 1...100 {
      var job = stray(Int32(2000 + number))
      job.unit = "cron.service"
      told += book.alert(finding("/y/\(number)"), job, at: .seconds(1))
    }
    var job = victim()
    job.unit = "cron.service"
    #expect(book.alert(finding(), job, at: .seconds(4)).words == [.alert])
  }

  @Test func `is summed up for those whom it concerns`() {
    var book = AlertBook()
    for pid in 1...60 {
      let routing = AlertRouting(hooks: [pid % 2 == 0 ? "a" : "b"])
      _ = book.take(
        .alert(finding()), of: process(Int32(pid), unit: nil), count: 1, limits: limits, routing: routing, at: at(.zero)
      )
    }
    let summary = (1...61).flatMap { book.tick(at: at(.seconds($0))) }.first { $0.summary != nil }
    #expect(summary?.alert.routing.hooks == ["a", "b"])
  }

  @Test func `tells the end of all that it has named, and of no other`() {
    var book = AlertBook()
    let told = (1...100).flatMap { book.alert(finding(), process($0, unit: nil), at: .zero) }
    let ended = book.exited((1...100).map { process($0, unit: nil) }, at: at(.seconds(1)))
    #expect(told.count == 10 && ended.count == 10 && ended.allSatisfy { $0.word == .resolved })
    #expect(Set(ended.map(\.alert.id)) == Set(told.map(\.alert.id)))
    // Those that were over before they were told are counted.
    let sums = (1...70).flatMap { book.tick(at: at(.seconds($0))) }
    #expect(sums.count == 1 && sums[0].summary?.count == 90)
  }

  @Test func `goes on over a restart, and is summed up at the end`() throws {
    var before = AlertBook()
    var told = (1...50).flatMap { before.alert(finding(), process($0, unit: nil), at: .zero) }
    let saved = try JSONDecoder().decode(AlertBook.Saved.self, from: JSONEncoder().encode(before.saved))
    var book = AlertBook()
    book.restore(saved, at: .seconds(10))
    for second in 11...600 { told += book.tick(at: at(.seconds(second))).filter { $0.summary == nil } }
    #expect(told.count == 50 && Set(told.map(\.alert.id)).count == 50)
    let last = before.finish(at: at(.seconds(5)))
    #expect(last.first?.summary?.count == 40 && before.finish(at: at(.seconds(6))).isEmpty)
  }

  @Test func `takes its own alerts out of a full book, and not those of others`() throws {
    var book = AlertBook()
    for number in 1...50 { _ = book.alert(finding(), process(Int32(number), unit: "u\(number).service"), at: .zero) }
    for second in 1...300 { _ = book.tick(at: at(.seconds(second))) }
    let known = Set(book.firing.map(\.id))
    for pid in 1...5600 { _ = book.alert(finding(), stray(Int32(pid)), at: .seconds(400)) }
    #expect(book.saved.count < 5600)
    #expect(known.isSubset(of: book.firing.map(\.id)) && known.count == 50)
  }

  @Test func `of notes is bounded, and leaves room for those on others`() {
    var book = AlertBook()
    let noted = (1...4000).count { book.mayNote(stray(Int32($0)), at: at(.zero)) }
    #expect(noted == 100 && book.mayNote(victim(), at: at(.zero)))
  }

  @Test func `costs no more than its entries`() {
    var limiter = RateLimiter()
    for number in 0..<100_000 {
      _ = limiter.allows("a\(number)", isCritical: true, isInTurn: true, burst: 20, at: .milliseconds(number))
    }
    #expect(MemoryLayout.size(ofValue: limiter) < 100 && limiter.knownAccounts <= RateLimiter.mostAccounts)
  }
}
