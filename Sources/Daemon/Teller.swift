// SPDX-License-Identifier: Apache-2.0
// Who is told of an alert: the journal, hooks, and standard error where no journal is.

import Alerts
import Config
import Descriptors
import Detection
import Linux
import Systemd

/// Sends what is to be told, and keeps what could not be delivered.
package final class Teller {
  package var configuration: Configuration
  private let hooks: HookRunner
  private let host: String
  private var pending: [Pending] = []
  package private(set) var dropped = 0
  package private(set) var told: [AlertWord: Int] = [:]
  private var isJournalTold = false
  /// So many entries wait for a journald that is away.
  private static let mostPending = 1000

  /// Where journald listens.
  private let journal: String

  package init(_ configuration: Configuration, hooks: HookRunner, journal: String = Journal.socket) {
    (self.configuration, self.hooks, self.journal) = (configuration, hooks, journal)
    host = Host.name
  }

  package var pendingEntries: Int { pending.count }
  package var hookTallies: [String: HookRunner.Tally] { hooks.tallies }

  // MARK: Alerts

  package func tell(_ event: AlertEvent) {
    log(JournalEntry(event).fields)
    // The journal keeps all of it; nobody is called.
    if event.alert.isSilenced { return }
    told[event.word, default: 0] += 1
    let json = event.json(host: host, now: WallClock.now, time: WallClock.rfc3339)
    for hook in configuration.hooks where hook.passes(event) {
      hooks.run(HookJob(hook, event, json: json, host: host))
    }
  }

  package func tell(_ notice: Notice, of process: AlertProcess) { log(JournalEntry(notice, of: process).fields) }

  // MARK: The log

  /// A line about the daemon itself.
  package func log(_ text: String, priority: Int = 6, id: MessageID? = nil, more: [(name: String, value: String)] = [])
  {
    var fields = [("MESSAGE", text), ("PRIORITY", String(priority)), ("SYSLOG_IDENTIFIER", "fdwatch")]
    if let id { fields.append(("MESSAGE_ID", id.rawValue)) }
    log(fields + more)
  }

  private func log(_ fields: [(name: String, value: String)]) {
    guard configuration.alerts.journal else { return complain(fields) }
    pending.append(Pending(fields, at: WallClock.now))
    deliver()
  }

  /// An entry that journald has yet to take.
  private struct Pending {
    var fields: [(name: String, value: String)]
    /// When it was made, in seconds since 1970: journald stamps an entry when it takes it, and lets nobody else do so.
    let time: Double

    /// What comes later than that says so in its own words, too.
    private static let late = 5.0

    init(_ fields: [(name: String, value: String)], at time: Double) {
      self.fields = fields + [("FDWATCH_TIME", String((time * 1000).rounded() / 1000))]
      self.time = time
    }

    var inTime: [(name: String, value: String)] {
      guard WallClock.now - time > Self.late else { return fields }
      return fields.map { field in
        field.name == "MESSAGE" ? (field.name, "\(field.value) (logged late, of \(WallClock.rfc3339(time)))") : field
      }
    }
  }

  /// Sends what waits, in its order, if it was not tried a moment ago. To be called now and then.
  package func retry(at now: Instant) {
    guard !pending.isEmpty, now - lastTry >= .seconds(1) else { return }
    deliver()
  }

  private var lastTry = Instant.now

  package func deliver() {
    lastTry = .now
    while let entry = pending.first {
      do throws(JournalError) {
        try Journal.send(entry.inTime, to: journal)
        pending.removeFirst()
        complainedUpTo = max(0, complainedUpTo - 1)
        if isJournalTold, pending.isEmpty {
          isJournalTold = false
          complain([("MESSAGE", "the journal is back, and has what was kept for it")])
        }
      } catch .badFieldName(let name) {
        // A label's or ours: without it the rest is worth telling.
        pending[0].fields.removeAll { $0.name == name }
      } catch {
        guard error.mayPassLater else {
          // It would stand in the way of all that come after it.
          if complainedUpTo == 0 {
            complain([("MESSAGE", "\(error), so the next line is not there")])
            complain(entry.fields)
          }
          pending.removeFirst()
          complainedUpTo = max(0, complainedUpTo - 1)
          continue
        }
        if !isJournalTold {
          isJournalTold = true
          complain([("MESSAGE", "\(error): alerts come here until it is, and are kept for it")])
        }
        complain(new: pending.count - 1)
        break
      }
    }
    if pending.count > Self.mostPending {
      dropped += pending.count - Self.mostPending
      pending.removeFirst(pending.count - Self.mostPending)
      complainedUpTo = min(complainedUpTo, pending.count)
    }
    if pending.isEmpty { complainedUpTo = 0 }
  }

  /// Entries of ``pending`` that stand on standard error already.
  private var complainedUpTo = 0

  private func complain(new last: Int) {
    guard last >= complainedUpTo else { return }
    for entry in pending[complainedUpTo...last] { complain(entry.fields) }
    complainedUpTo = last + 1
  }

  private func complain(_ fields: [(name: String, value: String)]) {
    let message = fields.first { $0.name == "MESSAGE" }?.value ?? ""
    let priority = fields.first { $0.name == "PRIORITY" }?.value ?? "6"
    // `<4>`: the level of the line, where systemd reads it. See sd-daemon(3).
    let level = Notify.isWanted ? "<\(priority)>" : ""
    // Whoever reads it may have stopped to. A pipe that says that it takes something takes a page.
    let line = "\(level)fdwatch: \(String(decoding: message.utf8.prefix(3000), as: UTF8.self))\n"
    if (try? Readiness.wait([.init(2, forWriting: true)], until: .now))?.contains(2) == true {
      try? Terminal.write(line, to: 2)
    } else {
      dropped += 1
    }
  }

  // MARK: Hooks

  /// Takes in how hooks came out.
  package func takeHookNotes() {
    for note in hooks.takeNotes() {
      log(
        "hook \(note.hook): \(note.text)", priority: note.isFailure ? 4 : 6,
        id: note.isFailure ? .hookFailed : nil, more: [("FDWATCH_HOOK", note.hook)])
    }
  }

  /// Waits until hooks have run, but not for long.
  package func waitForHooks(until deadline: Instant) {
    while !hooks.isIdle, Instant.now < deadline {
      _ = try? Readiness.wait([], until: min(deadline, .now + .milliseconds(50)))
      takeHookNotes()
    }
    hooks.end()
  }

  /// Runs of hooks that have not come to their end.
  package var unfinishedRuns: [SavedRun] { hooks.unfinished.map(\.saved) }

  /// Takes up what an earlier daemon has not come to.
  package func resume(_ runs: [SavedRun]) {
    for run in runs {
      if let hook = configuration.hooks.first(where: { $0.name == run.hook }) {
        hooks.run(HookJob(run, hook))
      } else {
        log("hook \(run.hook.printable) is there no more: it is not told \(run.word) \(run.id)", priority: 4)
      }
    }
  }
}

extension HookSettings {
  func passes(_ event: AlertEvent) -> Bool {
    if event.word == .test { return true }
    if let names = event.alert.routing.hooks, !names.contains(name) { return false }
    guard let word = Event(rawValue: event.word.rawValue), events.contains(word),
      let type = AlertType(rawValue: event.alert.type.rawValue), types.contains(type)
    else { return false }
    // Less urgent than any alert: whoever asks for suspicions by name gets them.
    if word == .suspected { return true }
    // An end is as urgent as the most urgent that was told of what it ends.
    let urgency = event.word == .resolved ? min(event.alert.toldPriority, event.alert.priority) : event.alert.priority
    return (event.summary?.priority ?? urgency) <= priority.rawValue
  }
}
