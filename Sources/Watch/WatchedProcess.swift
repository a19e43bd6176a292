// SPDX-License-Identifier: Apache-2.0
// One process under watch: from /proc to verdicts.

import Descriptors
import Detection
import Linux
import Procfs

/// One watched process: its directory, what is known of its table, when to look at it, and what is believed of it.
package final class WatchedProcess {
  package let identity: ProcessIdentity
  private var directory: ProcessDirectory
  private var table = DescriptorTable()
  private var schedule: Schedule
  private var sockets: SocketReading
  package private(set) var detector: Detector
  /// As of the last census.
  package private(set) var limits: Limits
  /// As of the last poll.
  package private(set) var count: Int

  /// - Parameter start: the wall clock at time zero of the watch, in seconds since 1970, for the words of the evidence.
  package init(
    pid: Int32, in procfs: borrowing Procfs, interval: Duration, start: Double
  ) throws(ProcfsError) {
    let directory = try ProcessDirectory(pid: pid, in: procfs)
    let identity = try directory.identity()
    let limits = try directory.limits()
    let count = try directory.count()
    (self.identity, self.limits, self.count) = (identity, limits, count)
    self.directory = directory
    schedule = Schedule(interval: interval)
    sockets = SocketReading()
    detector = Detector { String(WallClock.timeOfDay(start + $0.seconds).prefix(5)) }
  }

  /// Looks at the process once and asks the detector.
  ///
  /// - Parameter time: since the watch began. What is decided knows no other clock; the schedule alone measures what
  ///   the looks cost.
  /// - Returns: the poll, and what the detector made of it.
  package func poll(at time: Duration) throws(ProcfsError) -> (poll: Poll, events: [DetectionEvent]) {
    // Whole milliseconds, as a trace has them: a recording replayed must give the same verdicts.
    let time = Duration.milliseconds((time.nanoseconds + 500_000) / 1_000_000)
    count = try directory.count()
    // An empty table may be one that has moved to another thread, which is then followed.
    if count == 0 {
      try directory.explainEmptyTable()
      count = try directory.count()
    }
    let isSuspicious = detector.needsCloserLook
    var poll = Poll(time: time, count: count, isCensus: false)
    if case .census(let verification) = schedule.look(at: time, count: count, isSuspicious: isSuspicious) {
      try takeCensus(verifying: verification, isSuspicious: isSuspicious, into: &poll)
    }
    return (poll, detector.observe(poll))
  }

  private func takeCensus(
    verifying verification: DescriptorTable.Verification, isSuspicious: Bool, into poll: inout Poll
  ) throws(ProcfsError) {
    let isFirst = table.count == 0
    let began = Instant.now
    try table.census(of: &directory, verifying: verification, into: &poll)
    let cost = Instant.now - began
    count = poll.count
    let found = try directory.limits()
    if found != limits || isFirst {
      limits = found
      poll.limits = found
    }
    try sockets.read(&table, of: directory, isVerification: verification > .none, into: &poll)
    let changed = !poll.opened.isEmpty || !poll.closed.isEmpty || !poll.tcp.isEmpty
    schedule.took(
      verification, cost: cost, at: poll.time, count: poll.count, changed: changed, isSuspicious: isSuspicious)
  }

  /// Whether its table may be read at all: finds out before a watch begins what would end it.
  package func checkAccess() throws(ProcfsError) { try directory.checkAccess() }

  /// The process has gone: what had been found ends with it.
  package func exited(at time: Duration) -> [DetectionEvent] { detector.processExited(at: time) }
}

/// When to read the socket tables: they list all sockets of a network namespace, so a host with very many pays for each.
private struct SocketReading {
  private var next = Duration.zero

  mutating func read(
    _ table: inout DescriptorTable, of process: borrowing ProcessDirectory, isVerification: Bool, into poll: inout Poll
  ) throws(ProcfsError) {
    guard poll.time >= next, isVerification || table.hasUnreadSockets else { return }
    let began = Instant.now
    try table.readSockets(of: process, into: &poll)
    next = poll.time + (Instant.now - began) / Schedule.share
  }
}
