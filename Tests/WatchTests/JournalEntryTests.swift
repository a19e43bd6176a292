// SPDX-License-Identifier: Apache-2.0
// What an event is in the journal: every field.

import Alerts
import Descriptors
import Testing
import Watch

@testable import Detection

@Suite struct `The journal entry` {
  @Test func `of an alert has all that is known`() {
    let entry = JournalEntry(.alert(finding), of: view(), at: 5)
    #expect(
      entry.fields.map(\.name) == [
        "MESSAGE", "MESSAGE_ID", "PRIORITY", "SYSLOG_IDENTIFIER", "OBJECT_PID", "FDWATCH_EVENT", "FDWATCH_TYPE",
        "FDWATCH_ALERT_ID", "FDWATCH_PRIORITY", "FDWATCH_PID", "FDWATCH_COMM", "FDWATCH_EXE", "FDWATCH_UNIT",
        "FDWATCH_COUNT", "FDWATCH_SOFT_LIMIT", "FDWATCH_SECONDS_TO_LIMIT", "FDWATCH_KIND", "FDWATCH_TARGET",
        "FDWATCH_LEAKED", "FDWATCH_RATE_PER_HOUR", "FDWATCH_PROBABILITY", "FDWATCH_CONFIDENCE", "FDWATCH_EVIDENCE",
        "FDWATCH_FIRST_SEEN",
      ])
    #expect(
      entry["MESSAGE"]
        == "orders.service orders[812] leaks tcp 10.0.0.5:5432: 12 open that were never closed, +38/h, limit of 1024 reached in 19 h"
    )
    #expect(entry["MESSAGE_ID"] == "f80c5fad4bca4abfab75624beaafb344")
    #expect(entry["OBJECT_PID"] == "812" && entry["FDWATCH_UNIT"] == "orders.service")
    #expect(entry["FDWATCH_ALERT_ID"] == "812-99-3")
    #expect(entry["FDWATCH_LEAKED"] == "12" && entry["FDWATCH_RATE_PER_HOUR"] == "38.0")
    #expect(entry["FDWATCH_SECONDS_TO_LIMIT"] == "68400" && entry["FDWATCH_CONFIDENCE"] == "0.988")
    #expect(entry["FDWATCH_EVIDENCE"] == "First.\nSecond." && entry["FDWATCH_SOFT_LIMIT"] == "1024")
  }

  @Test func `of an alert names who opened it`() {
    var finding = finding
    finding.blame = Blame(
      profile: "file",
      stacks: [
        .init(frames: ["os.Open /usr/lib/go/src/os/file.go:3", "store.Dial /src/pool.go:88"], own: 1, share: 0.9),
        .init(frames: ["main.other"], own: 0, share: 0.1),
      ])
    let entry = JournalEntry(.alert(finding), of: view(), at: 5)
    #expect(entry["FDWATCH_STACK"] == "os.Open /usr/lib/go/src/os/file.go:3\nstore.Dial /src/pool.go:88")
    #expect(entry["FDWATCH_STACK_SHARE"] == "0.9" && entry["FDWATCH_STACK_2"] == "main.other")
    #expect(entry["FDWATCH_PROFILE"] == "file")
    #expect(entry["MESSAGE"]?.hasSuffix("; 90 % opened by store.Dial (pool.go:88)") == true)
    let later = JournalEntry(.attributed(finding), of: view(), at: 5)
    #expect(later["FDWATCH_EVENT"] == "notice" && later["FDWATCH_ALERT_ID"] == entry["FDWATCH_ALERT_ID"])
  }

  @Test(
    arguments: [(300, "2"), (599, "2"), (600, "3"), (6 * 3600 - 1, "3"), (6 * 3600, "4"), (nil, "4")]
      as [(Int?, String)])
  func `of an alert is the more urgent the less time is left`(seconds: Int?, priority: String) {
    var finding = finding
    finding.timeToLimit = seconds.map { .seconds($0) }
    #expect(JournalEntry(.alert(finding), of: view(), at: 5)["PRIORITY"] == priority)
    #expect(JournalEntry(.escalated(finding), of: view(), at: 5)["PRIORITY"] == priority)
    #expect((JournalEntry(.alert(finding), of: view(), at: 5)["FDWATCH_SECONDS_TO_LIMIT"] == nil) == (seconds == nil))
  }

  @Test(arguments: [Resolution.closed, .exited, .retracted]) func `of an end says how`(how: Resolution) {
    let entry = JournalEntry(.resolved(finding, how), of: view(), at: 5)
    #expect(entry["FDWATCH_RESOLUTION"] == how.rawValue && entry["PRIORITY"] == "5")
    #expect(entry["MESSAGE"] == "orders.service orders[812] leaked tcp 10.0.0.5:5432: over, \(how.inWords)")
    // The same leak has the same name from beginning to end.
    #expect(entry["FDWATCH_ALERT_ID"] == JournalEntry(.alert(finding), of: view(), at: 5)["FDWATCH_ALERT_ID"])
  }

  @Test func `of a notice wakes nobody`() {
    let notice = Notice(kind: .file, target: nil, verdict: .collector, text: "released in bulk")
    let entry = JournalEntry(.notice(notice), of: view(), at: 5)
    #expect(entry["PRIORITY"] == "6" && entry["FDWATCH_VERDICT"] == "collector" && entry["FDWATCH_TARGET"] == nil)
    #expect(entry["MESSAGE"] == "orders[812]: released in bulk")
  }

  @Test func `has one id for each kind of event`() {
    let notice = Notice(kind: .file, target: nil, verdict: .step, text: "")
    let events: [DetectionEvent] = [.alert(finding), .escalated(finding), .resolved(finding, .closed), .notice(notice)]
    #expect(Set(events.map { JournalEntry($0, of: view(), at: 5)["MESSAGE_ID"] }).count == 4)
  }

  @Test func `shows hostile names escaped, and keeps them whole in their fields`() {
    let entry = JournalEntry(.alert(finding), of: view("a\n\u{1b}[2J"), at: 5)
    #expect(entry["MESSAGE"]?.hasPrefix("orders.service a\\n\\x1b[2J[812] leaks") == true)
    #expect(entry["FDWATCH_COMM"] == "a\n\u{1b}[2J")
  }
}
