// SPDX-License-Identifier: Apache-2.0
// What outlives a restart: the same again, or none of it.

import Alerts
import Foundation
import TestSupport
import Testing

@testable import Daemon

@Suite struct `What is remembered` {
  private let directory: TemporaryDirectory
  private let store: StateStore
  private let states: [(key: StateStore.Key, state: [UInt8])] = [
    (.init(pid: 812, startTime: 99), [1, 2, 3]), (.init(pid: .max, startTime: .max), []),
    (.init(pid: 1, startTime: 0), Array(0...255)),
  ]

  init() throws {
    directory = try TemporaryDirectory()
    store = StateStore(folder: directory.path)
  }

  private func rewrite(_ name: String, _ change: (Data) -> Data) throws {
    let path = directory.path + "/" + name
    try change(try #require(FileManager.default.contents(atPath: path))).write(to: URL(filePath: path))
  }

  @Test func `of detectors is handed out once, on the same boot`() throws {
    try store.save(states, boot: "a", at: .seconds(77))
    let remembered = try store.rememberedDetectors(boot: "a", at: .seconds(80))
    #expect(remembered.count == 3)
    for (key, state) in states {
      let found = try #require(remembered.state(of: key))
      #expect(found.state == state && found.savedAt == .seconds(77))
      #expect(remembered.state(of: key) == nil)
    }
    #expect(try store.rememberedDetectors(boot: "b", at: .seconds(80)).count == 0)
  }

  @Test func `is nothing before anything was saved`() throws {
    #expect(try store.rememberedDetectors(boot: "a", at: .seconds(80)).count == 0)
    #expect(try store.rememberedAlerts(boot: "a") == nil)
    #expect(try store.rememberedSilences().isEmpty)
  }

  @Test func `of detectors is refused, or less, when it is cut off anywhere`() throws {
    try store.save(states, boot: "a", at: .seconds(77))
    let whole = try #require(FileManager.default.contents(atPath: directory.path + "/detectors"))
    for length in 0..<whole.count {
      try rewrite("detectors") { _ in whole.prefix(length) }
      if let found = try? store.rememberedDetectors(boot: "a", at: .seconds(80)) { #expect(found.count < 3) }
    }
  }

  @Test func `of detectors is refused, or other, when it is damaged anywhere`() throws {
    try store.save(states, boot: "a", at: .seconds(77))
    let whole = try #require(FileManager.default.contents(atPath: directory.path + "/detectors"))
    for position in whole.indices {
      for bit in [UInt8(1), 0x80] {
        var bytes = whole
        bytes[position] ^= bit
        try rewrite("detectors") { _ in bytes }
        _ = try? store.rememberedDetectors(boot: "a", at: .seconds(80))
      }
    }
  }

  @Test func `of alerts names this boot, or another`() throws {
    var book = AlertBook(seed: 3)
    _ = book.report(
      "late", subject: "late",
      of: AlertProcess(pid: 5, startTime: 6, command: "x\u{1b}", executable: nil, user: "root", unit: nil),
      at: Moment(time: .seconds(1), wall: 2))
    try store.save(book.saved, UnitLedger(), boot: "a")
    let same = try #require(try store.rememberedAlerts(boot: "a"))
    #expect(same.isThisBoot && same.book.count == 1)
    #expect(try store.rememberedAlerts(boot: "b")?.isThisBoot == false)
    let whole = try #require(FileManager.default.contents(atPath: directory.path + "/alerts.json"))
    for length in 0..<whole.count {
      try rewrite("alerts.json") { _ in whole.prefix(length) }
      #expect(throws: StateError.self) { try store.rememberedAlerts(boot: "a") }
    }
    try rewrite("alerts.json") { _ in
      Data(
        String(decoding: whole, as: UTF8.self).replacing(
          "\"version\":\(AlertBook.Saved.version)", with: "\"version\":77"
        ).utf8)
    }
    let error = #expect(throws: StateError.self) { try store.rememberedAlerts(boot: "a") }
    #expect(error?.description.contains("version 77") == true)
  }

  @Test func `of silences is the same again`() throws {
    let silences = [Silence(subject: "a*\n", until: 1e300, reason: "\u{0}\"", by: "root")]
    try store.save(silences)
    #expect(try store.rememberedSilences() == silences)
  }

  @Test func `of detectors leaves out what does not fit, and can be read again`() throws {
    let large = [UInt8](repeating: 7, count: StateStore.mostOfDetectors / 2)
    func key(_ pid: Int32) -> StateStore.Key { StateStore.Key(pid: pid, startTime: 1) }
    try store.save(
      [(key: key(1), state: large), (key(2), large), (key(3), [3])], boot: "a", at: .seconds(77))
    let remembered = try store.rememberedDetectors(boot: "a", at: .seconds(80))
    #expect(remembered.count == 2 && remembered.state(of: key(2)) == nil)
    #expect(remembered.state(of: key(3))?.state == [3] && remembered.state(of: key(1))?.state == large)
  }

  @Test func `of runs leaves out what does not fit, and can be read again`() throws {
    let run = SavedRun(
      hook: "h", word: "alert", id: "1", environment: ["A=b"], input: String(repeating: "\u{1}", count: 100_000),
      attempts: 1)
    try store.save(Array(repeating: run, count: 20))
    let runs = try store.rememberedRuns()
    #expect((1..<20).contains(runs.count) && runs.allSatisfy { $0 == run })
  }

  /// A file that is larger than it was ever written, of whatever content.
  @Test(arguments: ["detectors", "alerts.json", "silences.json", "hooks.json"])
  func `is refused, and not read to its end, where there is more of it than is ever saved`(name: String) throws {
    let path = directory.path + "/" + name
    try Data("[".utf8).write(to: URL(filePath: path))
    // No memory would be enough to read it.
    try #require(unsafe truncate(path, 1 << 42) == 0)
    let error = #expect(throws: StateError.self) {
      _ = try store.rememberedDetectors(boot: "a", at: .seconds(80))
      _ = try store.rememberedAlerts(boot: "a")
      _ = try store.rememberedSilences()
      _ = try store.rememberedRuns()
    }
    #expect(error?.description.contains(name) == true && error?.description.contains("too large") == true)
  }
}
