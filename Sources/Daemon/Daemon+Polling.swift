// SPDX-License-Identifier: Apache-2.0
// One process at one poll: what it is asked, and what follows.

import Alerts
import Config
import Descriptors
import Detection
import Linux
import Procfs
import Systemd
import Watch

extension Daemon {
  func poll(_ index: Int, at time: Duration) {
    if !roster.watched[index].isMet { roster.meet(index, in: procfs, at: time) }
    let watched = roster.watched[index]
    polls += 1
    do throws(ProcfsError) {
      if let process = watched.close {
        try look(at: process, index, at: time)
      } else if try watched.sentry.poll(at: time) {
        roster.lookClosely(index, in: procfs, at: time)
      }
      if watched.close != nil { roster.hasRoom(for: index, at: time) }
      observeLimit(of: index, at: time)
    } catch .tooManyDescriptors {
      roster.countOnly(index, at: time)
    } catch .gone {
      exited(index)
    } catch .zombie {
      exited(index)
    } catch {
      // What was seen until now stands; what comes is unknown, and must not look like an all-clear.
      roster.remove(index, as: roster.failure(error), at: time)
      book.lost(watched.subject, at: moment)
      sayOnce("\(watched.subject.name) cannot be watched any more: \(error)")
    }
  }

  /// What was found of those that cannot be followed any more is neither confirmed nor over.
  func tellCountedOnly() {
    for subject in roster.takeCountedOnly() {
      book.lost(subject, at: moment)
      sayOnce(
        "\(subject.name) has too many descriptors open to be looked at closely: only their number is watched. More of "
          + "\(subject.account.printable) are not told",
        about: "too many descriptors of \(subject.account)")
    }
  }

  func look(at process: WatchedProcess, _ index: Int, at time: Duration) throws(ProcfsError) {
    let looked = try process.poll(at: time)
    for note in process.takeNotes() { tellNote(note, of: roster.watched[index].subject) }
    guard let (poll, events) = looked else { return }
    endMerged(process, index, events)
    if poll.isCensus {
      censuses += 1
      refresh(index, process.identity)
    }
    let watched = roster.watched[index]
    for event in events {
      if case .notice(let notice) = event {
        if mayNote(watched.subject) { teller.tell(notice, of: watched.subject) }
      } else {
        if case .alert = event { quoteLog(of: watched.subject) }
        tell(event, of: watched)
      }
    }
    for finding in process.toldFindings {
      tell(
        book.update(
          finding, of: watched.subject, count: watched.count, limits: watched.limits,
          routing: watched.treatment.routing,
          at: moment))
    }
    roster.withWatched(index) { $0.relax(at: time) }
  }

  /// A process that executes another program is somebody else for people.
  private func refresh(_ index: Int, _ identity: ProcessIdentity) {
    guard identity.command != roster.watched[index].subject.command else { return }
    roster.withWatched(index) {
      $0.subject.command = identity.command
      $0.subject.executable = identity.executable
    }
  }

  /// Classes that are joined have one finding: the alert of the other one is over.
  private func endMerged(_ process: WatchedProcess, _ index: Int, _ events: [DetectionEvent]) {
    let now = process.toldFindings
    let watched = roster.watched[index]
    roster.withWatched(index) { $0.findings = now }
    for old in watched.findings where !now.contains(where: { $0.id == old.id }) {
      let isResolved = events.contains {
        if case .resolved(let finding, _) = $0 { finding.id == old.id } else { false }
      }
      if !isResolved { tell(book.merged(old, of: watched.subject, at: moment)) }
    }
  }

  /// Looks up what the process's unit has logged of running out of descriptors, or of dropping one unclosed, for the
  /// evidence of its leaks.
  private func quoteLog(of process: AlertProcess) {
    // A journal may be large and its disk slow: in a storm not each alert has it searched.
    guard let unit = process.unit, Instant.now >= nextLogSearch else { return }
    let began = Instant.now
    quotes[process.pid] = Finding.quote(logOf: unit)
    nextLogSearch = .now + .seconds(1) + (Instant.now - began) * 20
  }

  private func exited(_ index: Int) {
    let gone = roster.remove(index)
    let now = moment
    if let unit = gone.subject.unit { workerExited(gone, of: unit, at: now) }
    for event in gone.close?.exited(at: now.time) ?? [] { tell(event, of: gone) }
    tell(book.exited(gone.subject, at: now))
    (lastReports[gone.subject.pid], quotes[gone.subject.pid]) = (nil, nil)
  }

  private func tellNote(_ note: String, of process: AlertProcess) {
    guard mayNote(process) else { return }
    teller.log("\(process.name): \(note)", more: [("OBJECT_PID", String(process.pid))])
  }

  private func mayNote(_ process: AlertProcess) -> Bool {
    if book.mayNote(process, at: moment) { return true }
    sayOnce("there is more to note on processes of \(process.account.printable) than is written in a minute")
    return false
  }

  func takeReports(_ socket: ReportSocket) {
    let now = moment
    socket.take(at: now.time) { report in
      let subject: AlertProcess
      var treatment: Treatment?
      if let index = roster.index(of: report.pid) {
        subject = roster.watched[index].subject
        treatment = roster.watched[index].treatment
        lastReports[report.pid] = report.message
      } else {
        // One that did not wait may have gone already; its user is known in any case.
        let identity = try? ProcessDirectory(pid: report.pid, in: procfs).identity()
        subject = AlertProcess(
          pid: report.pid, startTime: identity?.startTime ?? 0, command: identity?.command ?? "?",
          executable: identity?.executable, user: roster.users.name(report.user),
          unit: report.pid > 0 ? Unit.name(of: report.pid) : nil)
      }
      let text = report.stack.first.map { "\(report.message) (\($0))" } ?? report.message
      tell(
        book.report(
          text, subject: report.stack.first ?? report.kind, of: subject, routing: treatment?.routing ?? AlertRouting(),
          at: now))
    }
  }
}

extension ProcessReport {
  /// Reports that differ in numbers and paths only are of one kind.
  var kind: String { String(message.prefix(60).filter { !$0.isNumber }) }
}

extension AlertProcess {
  var owner: String { unit ?? "\(pid)-\(startTime)" }
}
