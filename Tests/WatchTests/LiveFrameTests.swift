// SPDX-License-Identifier: Apache-2.0
// One frame of the live view, at any size.

import Descriptors
import Testing
import Watch

@testable import Detection
@testable import Procfs

/// A process that leaks, as a frame shows it.
func view(_ command: String = "orders", pid: Int32 = 812, classes: Int = 3, leaks: Bool = true) -> ProcessView {
  var view = ProcessView(
    identity: ProcessIdentity(
      pid: pid, command: command, executable: "/usr/bin/orders", user: 33, startTime: 99),
    userName: "www-data", unit: "orders.service", count: 241, limits: Limits(soft: 1024, hard: 4096))
  view.commandLine = "/usr/bin/\(command) --port 8080"
  view.history = Array(1...241)
  view.classes = (0..<classes).map {
    ClassReport(
      kind: .tcp, target: "10.0.0.\($0):5432", open: 10, openedPerMinute: 3, closedPerMinute: 0.5, oldest: .seconds(90),
      oldestIsLowerBound: true, verdict: $0 == 0 ? .leak : .steady, suspicion: 1)
  }
  if leaks { view.findings = [finding] }
  return view
}

@Suite struct `A frame` {
  @Test(arguments: [(6, 20), (7, 33), (10, 40), (24, 80), (50, 200), (1, 1)], [0, 1, 3, 40])
  func `keeps within the terminal`(size: (rows: Int, columns: Int), classes: Int) {
    for style in [false, true] {
      for processes in [[view(classes: classes)], (1...5).map { view("w日本\u{1b}[2J", pid: $0, classes: classes) }] {
        let frame = LiveFrame(columns: size.columns, rows: size.rows, style: TextStyle(isOn: style))
        let lines = frame.lines(processes, elapsed: .seconds(100))
        #expect(lines.count <= max(size.rows, 6))
        #expect(lines.allSatisfy { plain($0).columns <= max(size.columns, 20) })
        #expect(lines.allSatisfy { !plain($0).unicodeScalars.contains { $0.properties.generalCategory == .control } })
        #expect(style || !lines.joined().contains("\u{1b}"))
      }
    }
  }

  @Test func `says who, how much, what, and why`() {
    let text = LiveFrame(columns: 100, rows: 24, style: TextStyle(isOn: false)).lines([view()], elapsed: .seconds(100))
    #expect(text[0] == "812  /usr/bin/orders --port 8080  user www-data  unit orders.service")
    #expect(text[1].hasPrefix("241 of 1024 (23 %) open  ▁"))
    #expect(text[2].hasPrefix("KIND  TARGET"))
    #expect(text[3].contains("10.0.0.0:5432") && text[3].contains(">90s") && text[3].hasSuffix("leak"))
    #expect(text.contains("LEAK  tcp 10.0.0.5:5432"))
    #expect(text.contains { $0.contains("First. Second.") })
    #expect(text.last == "watched for 100 s · Ctrl-C ends")
  }

  @Test func `says how much it could not show`() {
    let text = LiveFrame(columns: 80, rows: 10, style: TextStyle(isOn: false))
      .lines([view(classes: 30, leaks: false)], elapsed: .zero)
    let shown = text.count { $0.hasPrefix("tcp ") }
    #expect(shown > 0 && text.contains("… \(30 - shown) more classes, \((30 - shown) * 10) open"))
  }

  @Test func `says how many processes it could not show`() {
    let text = LiveFrame(columns: 80, rows: 8, style: TextStyle(isOn: false))
      .lines((1...9).map { view(pid: $0, leaks: false) }, elapsed: .zero)
    let more = text.first { $0.hasSuffix("more processes") }
    let shown = text.count { $0.contains("  /usr/bin/orders") || $0.contains("  orders  ") }
    #expect(more == "… and \(9 - shown) more processes")
  }

  @Test(arguments: [3, 9, 40]) func `shows the process that leaks among many`(count: Int32) {
    let processes = (1...count).map { view(pid: $0, leaks: $0 == count) }
    let text = LiveFrame(columns: 100, rows: 24, style: TextStyle(isOn: false)).lines(processes, elapsed: .zero)
    #expect(text.contains { $0.hasPrefix("\(count)  /usr/bin/orders") })
    #expect(text.contains("LEAK  tcp 10.0.0.5:5432"))
    #expect(text.contains { $0.contains("First. Second.") })
  }

  @Test func `of a process that has ended says so`() {
    var ended = view()
    ended.ended = "the process has exited"
    let text = LiveFrame(columns: 80, rows: 24, style: TextStyle(isOn: false)).lines([ended], elapsed: .zero)
    #expect(text[1] == "the process has exited")
  }

  @Test func `without a limit has no percentage`() {
    var unlimited = view()
    unlimited.limits = Limits(soft: .max, hard: .max)
    #expect(unlimited.usage == "241, no limit")
  }
}

/// Without colour.
private func plain(_ line: String) -> String {
  var text = ""
  var rest = line[...]
  while let escape = rest.firstIndex(of: "\u{1b}"), let end = rest[escape...].firstIndex(of: "m") {
    text += rest[..<escape]
    rest = rest[rest.index(after: end)...]
  }
  return text + rest
}
