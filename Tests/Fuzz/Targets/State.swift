// SPDX-License-Identifier: Apache-2.0
// What was saved, and is read again: by a newer version, after a crash, or from somebody else.

import FoundationEssentials
import Linux

@testable import Alerts
@testable import Attribution
@testable import Daemon
@testable import Descriptors
@testable import Detection
@testable import Trace

/// Feeds what was read to what is fed with it, and forms all text that people see of it.
private func show(_ findings: [Finding], _ limits: Limits) {
  for finding in findings { _ = finding.paragraph(limits: limits) }
}

extension Target {
  static var trace: Target {
    Target { bytes in
      let path = Scratch.write(bytes, to: "trace")
      guard let reader = try? TraceReader(path: path) else { return }
      var analysis = Analysis()
      var last = Duration.zero
      var polls = 0
      do {
        while let poll = try reader.next() {
          polls += 1
          check(poll.time >= last, "time runs backwards")
          last = poll.time
          checkRoundTrip(poll)
          for event in analysis.observe(poll) { _ = EventLine.json(event, at: poll.time) }
        }
      } catch { _ = "\(error)" }
      show(analysis.findings, Limits(soft: 1024, hard: 1024))
      _ = analysis.detector.explanations
      _ = analysis.processExited(at: last)
    }
  }

  /// As a line it is the same poll.
  private static func checkRoundTrip(_ poll: Poll) {
    do {
      let line = Array(PollLine.json(poll).utf8)
      let again = try PollLine.poll(line[...], limits: nil)
      check(again == poll, "written, it is another poll:\n\(poll)\n\(again)")
    } catch {
      fatalError("what was written cannot be read: \(error)\n\(PollLine.json(poll))")
    }
  }

  /// The fields of a saved detector: header and checksum are added here.
  static var detectorState: Target {
    Target { fields in
      let body = Array("FDWD".utf8) + [UInt8(Archive.version), 0] + fields
      let sum = body.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
      let state = body + (0..<8).map { UInt8(truncatingIfNeeded: sum >> (8 * $0)) }
      guard var detector = try? Detector(restoring: state, savedAt: .seconds(-60)) else { return }
      for second in 0..<4 {
        var poll = Poll(time: .seconds(second * 10), count: 3 + second)
        poll.opened = [
          Poll.Opened(number: Int32(second), target: "/srv/\(second)", inode: UInt64(second), flags: 0, position: 0)
        ]
        if second == 2 { poll.closed = [0] }
        _ = detector.observe(poll)
      }
      show(detector.findings, Limits(soft: 1024, hard: 1024))
      _ = (detector.explanations, detector.classReports, detector.overall, detector.leftovers)
      // Figures that pass may not pass again once polls were added to them: then it begins anew.
      _ = try? Detector(restoring: detector.savedState, savedAt: .seconds(30))
      _ = detector.processExited(at: .seconds(60))
    }
  }

  static var stateFiles: Target {
    Target { bytes in
      guard let (choice, rest) = bytes.choosing(among: StateFile.allCases.count) else { return }
      StateFile.allCases[choice].use(rest)
    }
  }
}

/// A file in the daemon's state directory.
enum StateFile: String, CaseIterable {
  case detectors
  case alerts = "alerts.json"
  case silences = "silences.json"
  case runs = "hooks.json"

  func use(_ bytes: [UInt8]) {
    Scratch.write(bytes, to: rawValue)
    let store = StateStore(folder: Scratch.folder)
    switch self {
    case .detectors: _ = try? store.rememberedDetectors(boot: "boot", at: .seconds(100)).count
    case .alerts:
      for boot in ["boot", "other"] {
        guard let (saved, units, isThisBoot) = try? store.rememberedAlerts(boot: boot) else { return }
        Self.use(saved, units, isThisBoot)
      }
    case .silences:
      guard let silences = try? store.rememberedSilences() else { return }
      var book = AlertBook()
      for silence in silences.prefix(20) { book.silence(silence, at: Moment(time: .seconds(1), wall: 1e9)) }
      for silence in book.activeSilences(at: Moment(time: .seconds(1), wall: 1e9)) {
        _ = WallClock.rfc3339(silence.until) + WallClock.local(silence.until)
      }
      _ = book.tick(at: Moment(time: .seconds(2), wall: 1e9 + 1))
    case .runs: _ = try? store.rememberedRuns()
    }
  }

  private static func use(_ saved: AlertBook.Saved, _ ledger: UnitLedger, _ isThisBoot: Bool) {
    var book = AlertBook()
    book.restore(saved, isThisBoot: isThisBoot, at: .seconds(100))
    var units = ledger
    let left = Leftovers(
      kind: .file, target: "/srv/*", survivors: 10, evidence: 9, placesSum: 5, thirds: 7, span: 100)
    let process = AlertProcess(
      pid: 4711, startTime: 5000, command: "app", executable: nil, user: "root", unit: "app.service")
    units.exited(
      ExitedWorker(
        process, limits: Limits(soft: 1024, hard: 1024), run: 1, leftovers: [left], seconds: 100,
        lastSeen: .seconds(99)), at: .seconds(100))
    units.appeared(process, start: .seconds(101))
    for second in [200, 4000, 100_000] { _ = units.settle(at: .seconds(second)) { _ in 1 } }
    var overview = Overview()
    for alert in book.firing {
      _ = alert.json(time: WallClock.rfc3339)
      overview.add(alert)
    }
    var moment = Moment(time: .seconds(100), wall: 1e9)
    for step in [Duration.seconds(60), .seconds(3600), .seconds(86_400), .seconds(700_000)] {
      moment.time += step
      moment.wall += step.seconds
      let events = book.tick(at: moment) + book.endUnconfirmed(at: moment)
      for event in events {
        _ = event.json(host: "host", now: moment.wall, time: WallClock.rfc3339)
        _ = JournalEntry(event)
      }
    }
    _ = book.exited(Array(book.processes), at: moment)
    do {
      let encoded = try JSONEncoder().encode(book.saved)
      _ = try JSONDecoder().decode(AlertBook.Saved.self, from: encoded)
    } catch {
      fatalError("what was saved cannot be read: \(error)")
    }
  }
}
