// SPDX-License-Identifier: Apache-2.0
// What evidence of use does to what is believed.

import Descriptors
import Foundation
import Testing

@testable import Detection

/// A process that opens one descriptor a second, closes none, and whose use is looked at every ten seconds.
private struct Used {
  var detector = Detector()
  private var number: Int32 = 3
  private var time = 0
  private let target: String

  init(_ target: String) { self.target = target }

  mutating func second(_ usage: ((Int32) -> UsageEvidence)? = nil) -> [DetectionEvent] {
    var poll = Poll(time: .seconds(time), count: time + 1)
    if time == 0 { poll.limits = Limits(soft: 1 << 20, hard: 1 << 20) }
    // What is there at the first look has no known age.
    if time > 0 {
      poll.opened.append(
        Poll.Opened(number: number, target: target, inode: UInt64(number), flags: 0, position: 0))
      number += 1
    }
    if let usage, time >= 10, time % 5 == 0 { poll.usage = [usage(number - 5)] }
    time += 1
    return detector.observe(poll)
  }

  mutating func seconds(_ count: Int, _ usage: ((Int32) -> UsageEvidence)? = nil) -> [DetectionEvent] {
    (0..<count).flatMap { _ in second(usage) }
  }

  var report: ClassReport? { detector.classReports.first { $0.open > 3 } }
}

private func evidence(
  _ signs: [UsageSign: UsageShare], threads: Int? = nil, children: Int? = nil
) -> (Int32) -> UsageEvidence {
  { number in
    var found = UsageEvidence(descriptor: number, looked: 12)
    found.signs = signs
    (found.threads, found.children) = (threads, children)
    return found
  }
}

private let pipe = "pipe:[77]"
private let childrens: [UsageSign: UsageShare] = [
  .abandoned: UsageShare(shown: 0, seen: 12), .heldByChild: UsageShare(shown: 12, seen: 12),
]

@Suite struct `Evidence of use` {
  @Test func `makes an alert of what nobody can use, and no suspicion of what children hold`() throws {
    var (blind, abandoned, held) = (Used(pipe), Used(pipe), Used(pipe))
    _ = blind.seconds(60)
    let told = abandoned.seconds(60, evidence([.abandoned: UsageShare(shown: 12, seen: 12)]))
    let toldOfHeld = held.seconds(60, evidence(childrens, threads: 1, children: 30))
    let (p, more, less) = try (
      #require(blind.report).probability, #require(abandoned.report).probability, #require(held.report).probability
    )
    #expect(more > 0.9 && p < 0.9 && less < 0.5, "\(more) \(p) \(less)")
    let finding = try #require(told.compactMap { if case .alert(let finding) = $0 { finding } else { nil } }.first)
    #expect(finding.evidence.contains { $0.contains("Of 12 looked at, 12 have no other end") }, "\(finding.evidence)")
    #expect(!toldOfHeld.contains { if case .alert = $0 { true } else { false } })
  }

  @Test func `that could not be seen weighs nothing`() throws {
    var (blind, unseen) = (Used(pipe), Used(pipe))
    _ = blind.seconds(60)
    _ = unseen.seconds(60, evidence([.abandoned: UsageShare(shown: 2, seen: 2)]))
    #expect(blind.report == unseen.report && blind.report != nil)
  }

  /// Signs that are seen only where they are not there would else be taken for those of all.
  @Test func `that could be seen in a part of them only weighs nothing`() {
    var (blind, partly) = (Used("anon_inode:[eventpoll]"), Used("anon_inode:[eventpoll]"))
    _ = blind.seconds(60)
    _ = partly.seconds(60, evidence([.unattended: UsageShare(shown: 0, seen: 4)]))
    #expect(blind.report == partly.report)
  }

  /// Where nothing can be looked at, a suspicion is told all the same.
  @Test func `is waited for, and not for long`() throws {
    func firstSuspicion(_ usage: ((Int32) -> UsageEvidence)?, _ target: String) -> Int? {
      var process = Used(target)
      return (0..<100).first { _ in
        process.second(usage).contains { if case .suspected = $0 { true } else { false } }
      }
    }
    let (blind, file) = (firstSuspicion(nil, pipe), firstSuspicion(nil, "/srv/data"))
    #expect(try #require(blind) - (try #require(file)) <= 20, "files are not waited for")
    #expect(firstSuspicion(evidence(childrens, threads: 1, children: 30), pipe) ?? 100 > (try #require(blind)))
  }

  @Test func `of another kind weighs nothing`() throws {
    var (blind, foreign) = (Used(pipe), Used(pipe))
    _ = blind.seconds(60)
    _ = foreign.seconds(60, evidence([.unattended: UsageShare(shown: 12, seen: 12)]))
    #expect(blind.report == foreign.report)
  }

  @Test func `is forgotten where it is not renewed`() throws {
    var (blind, once) = (Used(pipe), Used(pipe))
    _ = blind.seconds(60)
    _ = once.seconds(60, evidence([.abandoned: UsageShare(shown: 0, seen: 12)]))
    #expect(try #require(once.report).probability < (try #require(blind.report).probability))
    _ = blind.seconds(1000)
    _ = once.seconds(1000)
    #expect(abs(try #require(once.report).probability - (try #require(blind.report).probability)) < 1e-9)
  }

  /// Descriptors that look used go on being opened without end: it is their owners that leak.
  @Test func `calls a leak of children by its name`() throws {
    var process = Used(pipe)
    let told = process.seconds(
      2000,
      { number in
        evidence(childrens, threads: 1, children: Int(number) / 2)(number)
      })
    let alert = told.compactMap { event -> Finding? in if case .alert(let finding) = event { finding } else { nil } }
      .first
    let finding = try #require(alert)
    #expect(finding.explanation == .ownerAlive)
    #expect(
      finding.evidence.first?.contains("children that do not end, 2 pipe ends each") == true, "\(finding.evidence)")
    #expect(finding.runnerUp?.explanation.isLeak == false)
    #expect(process.report?.verdict == .ownerAlive)
  }

  @Test func `does not blame owners that are not there`() throws {
    var (few, many) = (Used("anon_inode:[eventfd]"), Used("anon_inode:[eventfd]"))
    let signs: [UsageSign: UsageShare] = [.waitedOn: UsageShare(shown: 12, seen: 12)]
    _ = few.seconds(300, evidence(signs, threads: 1, children: 0))
    _ = many.seconds(300, evidence(signs, threads: 300, children: 0))
    #expect(try #require(few.report).probability < (try #require(many.report).probability))
    #expect(few.report?.verdict != .ownerAlive)
  }

  @Test func `names few classes to look at, and the same members again`() {
    var process = Used(pipe)
    _ = process.seconds(100)
    let first = process.detector.usageSuspects
    _ = process.seconds(10)
    let second = process.detector.usageSuspects
    #expect(first.count == 1 && first[0].kind == .pipe && first[0].survivors.count == 12)
    let (old, new) = (Set(first[0].survivors.map(\.number)), Set(second[0].survivors.map(\.number)))
    #expect(old.intersection(new).count >= 8, "\(old) \(new)")
    #expect(first[0].survivors.allSatisfy { $0.age > 0 })
  }

  /// Files show nothing: to look at them would be in vain.
  @Test func `is not asked of what shows none`() {
    var process = Used("/srv/data")
    _ = process.seconds(100)
    #expect(process.detector.classReports.contains { $0.probability > 0.3 } && process.detector.usageSuspects.isEmpty)
  }
}

@Suite struct `The factors of use` {
  private func facts(_ kind: Kind, _ usage: UsageEvidence?) -> ClassFacts {
    let times = (0..<40).map(Double.init)
    var survival = Survival(
      open: [UInt16](repeating: 0, count: AgeHistogram.binCount), closed: AgeHistogram(), closedInitial: AgeHistogram())
    (survival.threshold, survival.evidence) = (1, 100)
    return ClassFacts(
      kind: kind, now: 40, collector: nil, open: 40, closes: 0, survival: survival,
      births: Births(times, until: 40, interval: 1) { _ in 0 }, deaths: Deaths(closes: 0, exposure: 20), bulkCloses: 0,
      mostClosedInBulk: 0, bulkShare: 0, waitsForRelease: false, isCloseWait: false, hasOneTarget: false,
      deletedShare: 0, unreadShare: 0, movedShare: 0, usage: usage)
  }

  @Test(arguments: UsageFactors.rows.indices) func `have reasons, and move where they say`(index: Int) throws {
    let row = UsageFactors.rows[index]
    #expect(!row.because.isEmpty && !row.source.isEmpty && !row.sentence.isEmpty && !row.kinds.isEmpty)
    #expect((1 / UsageFactors.most...UsageFactors.most).contains(row.shown))
    #expect((1 / UsageFactors.most...UsageFactors.most).contains(row.hidden))
    for kind in row.kinds {
      func leak(_ shown: Int) -> Double {
        var usage = UsageEvidence(descriptor: 3, looked: 8)
        usage.signs[row.sign] = UsageShare(shown: shown, seen: 8)
        return facts(kind, usage).posterior[.leak]
      }
      let without = facts(kind, nil).posterior[.leak]
      #expect(row.shown == 1 || (leak(8) > without) == (row.shown > 1))
      #expect(row.hidden == 1 || (leak(0) > without) == (row.hidden > 1))
    }
  }

  @Test(arguments: Kind.allCases) func `together weigh no more than one strong one`(kind: Kind) {
    for shown in [0, 8] {
      var usage = UsageEvidence(descriptor: 3, looked: 8)
      for sign in UsageSign.allCases { usage.signs[sign] = UsageShare(shown: shown, seen: 8) }
      usage.siblings[.registered] = UsageShare(shown: 8, seen: 8)
      let sum = UsageFactors.ofDropped(facts(kind, usage)).reduce(0) { $0 + $1.value }
      #expect(abs(sum) <= log(UsageFactors.most) + 1e-9)
      #expect(facts(kind, usage).posterior.probabilities.allSatisfy { $0.isFinite && $0 >= 0 })
    }
  }

  /// Without evidence, what leaks and whose leak it is are one: as probable as a leak was before there were two.
  @Test func `leave all as it is where nothing is known`() {
    let posterior = facts(.pipe, nil).posterior
    #expect(abs(posterior[.ownerAlive] / posterior.ofAnyLeak - UsageFactors.ownersOfObjects.value) < 1e-9)
  }
}
