// SPDX-License-Identifier: Apache-2.0
// From a live program to its verdict, at times that nobody waits for; and the same from its recording.

import Descriptors
import Detection
import Foundation
import Procfs
import TestSupport
import Testing
import Watch

@testable import Usage

/// A process that is polled once a second of a clock that the test turns.
private final class Polled {
  let process: WatchedProcess
  private(set) var polls: [Poll] = []
  private(set) var events: [DetectionEvent] = []
  private var time = Duration.zero

  init(_ pid: Int32) throws {
    process = try WatchedProcess(pid: pid, in: try Procfs(), interval: .seconds(1), start: 0)
    try second()
  }

  func second() throws {
    if let (poll, events) = try process.poll(at: time) {
      polls.append(poll)
      self.events += events
    }
    time += .seconds(1)
  }

  func probability(_ kind: Kind) -> Double {
    process.detector.classReports.filter { $0.kind == kind }.map(\.probability).max() ?? 0
  }

  var suspected: [Finding] {
    events.compactMap { event in
      switch event {
      case .suspected(let finding), .alert(let finding): finding
      default: nil
      }
    }
  }

  /// What the same polls make of a detector elsewhere, with what was seen of use, or without.
  func replayed(withUsage: Bool) -> Detector {
    var detector = Detector()
    for var poll in polls {
      if !withUsage { poll.usage = [] }
      _ = detector.observe(poll)
    }
    return detector
  }
}

extension Detector {
  fileprivate func probability(_ kind: Kind) -> Double {
    classReports.filter { $0.kind == kind }.map(\.probability).max() ?? 0
  }
}

@Suite struct `A verdict` {
  /// One child after another, each with pipes of its own.
  @Test func `on a supervisor with a pipe for each living child is no leak`() throws {
    let parent = try FDFactory()
    let polled = try Polled(parent.pid)
    for _ in 0..<40 {
      let pipe = try parent.open("pipe", 2)
      _ = try parent.fork()
      try parent.close([pipe[1]])
      try polled.second()
    }
    #expect(polled.polls.contains { !$0.usage.isEmpty })
    #expect(polled.suspected.isEmpty, "\(polled.probability(.pipe))")
    #expect(polled.replayed(withUsage: false).probability(.pipe) > polled.probability(.pipe) + 0.2)
    #expect(polled.replayed(withUsage: true).classReports == polled.process.detector.classReports)
  }

  @Test func `on a process that leaves event loops behind is a leak, and sooner`() throws {
    let process = try FDFactory()
    let polled = try Polled(process.pid)
    for _ in 0..<50 {
      try process.open("eventpoll", 1)
      try polled.second()
    }
    let blind = polled.replayed(withUsage: false).probability(.eventpoll)
    #expect(polled.probability(.eventpoll) > 0.9 && blind < 0.9, "\(polled.probability(.eventpoll)) \(blind)")
    let finding = try #require(polled.process.findings.first)
    #expect(finding.evidence.contains { $0.contains("no thread waits on") }, "\(finding.evidence)")
    #expect(polled.replayed(withUsage: true).classReports == polled.process.detector.classReports)
  }

  /// Looks cost what they may, and no more: a process that is not suspected is not looked at.
  @Test func `without suspicion takes no look`() throws {
    let process = try FDFactory()
    let polled = try Polled(process.pid)
    try process.open("pipe", 20)
    for _ in 0..<20 { try polled.second() }
    for _ in 0..<10 {
      let numbers = try process.open("eventfd", 1)
      try polled.second()
      try process.close(numbers)
    }
    #expect(polled.polls.count > 20 && polled.polls.dropFirst(25).allSatisfy(\.usage.isEmpty))
  }
}
