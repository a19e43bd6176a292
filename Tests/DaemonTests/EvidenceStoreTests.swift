// SPDX-License-Identifier: Apache-2.0
// What is kept of alerts is bounded, in number and size.

import Alerts
import Config
import Descriptors
import Detection
import Foundation
import Linux
import Procfs
import TestSupport
import Testing
import Watch

@testable import Daemon

@Suite struct `What is kept of an alert` {
  private let directory: TemporaryDirectory
  private let store: EvidenceStore

  init() throws {
    directory = try TemporaryDirectory()
    store = EvidenceStore(folder: directory.path + "/evidence")
  }

  private func event(_ id: String, _ word: AlertWord = .alert) -> AlertEvent {
    AlertEvent(word, Alert(id: id, type: .leak, firstSeen: 0, unit: nil, members: []))
  }

  /// A process that was looked at closely, once.
  private func looked(at child: FDFactory, in procfs: borrowing Procfs) throws -> Watched {
    let process = try WatchedProcess(pid: child.pid, in: procfs, interval: .seconds(1), start: 0)
    _ = try process.poll(at: .seconds(1))
    let subject = AlertProcess(process.identity, userName: "root", unit: nil)
    let treatment = Treatment(nil, in: Configuration(), units: UnitSettingsCache())
    var watched = Watched(
      try Sentry(ProcessDirectory(pid: child.pid, in: procfs), at: .zero), subject, treatment, nextPoll: .zero,
      since: .zero)
    watched.lookClosely(process, at: .zero)
    return watched
  }

  private func size(_ id: String) throws -> Int {
    try FileManager.default.subpathsOfDirectory(atPath: store.folder + "/" + id).reduce(0) {
      $0 + (try Data(contentsOf: URL(filePath: "\(store.folder)/\(id)/\($1)"))).count
    }
  }

  @Test func `of the oldest alerts goes when there is too much`() throws {
    var settings = EvidenceSettings()
    settings.keep = 3
    for number in 1...5 { try store.keep(event("a\(number)"), json: "{}", of: nil, in: Procfs(), settings: settings) }
    #expect(Files.names(in: store.folder) == ["a3", "a4", "a5"])
    settings.keep = 0
    try store.keep(event("a6"), json: "{}", of: nil, in: Procfs(), settings: settings)
    #expect(Files.names(in: store.folder) == ["a3", "a4", "a5"])
  }

  @Test func `names what is open, once at the beginning and once near the limit`() throws {
    let child = try FDFactory()
    try child.open("eventfd", 50)
    let procfs = try Procfs()
    let process = try looked(at: child, in: procfs)
    let json = "{\"a\":1}"
    try store.keep(event("b"), json: json, of: process, in: procfs, settings: EvidenceSettings())
    try store.keep(event("b", .escalated), json: json, of: process, in: procfs, settings: EvidenceSettings())
    let names = Files.names(in: store.folder + "/b")
    #expect(
      names == [
        "alert.json", "descriptors.txt", "escalated-alert.json", "escalated-descriptors.txt", "escalated-verdicts.txt",
        "verdicts.txt",
      ])
    let open = try String(contentsOfFile: store.folder + "/b/descriptors.txt", encoding: .utf8)
    // Neighbours of one kind are one line, such as `3-52`.
    let numbers = try #require(open.split(separator: "\n").first { $0.contains("anon_inode:[eventfd]") })
      .split(separator: "\t")[0].split(separator: "-").compactMap { Int($0) }
    #expect(numbers.count == 2 && (numbers.last ?? 0) - (numbers.first ?? 0) == 49)
    let verdicts = try String(contentsOfFile: store.folder + "/b/verdicts.txt", encoding: .utf8)
    #expect(verdicts.contains("eventfd: 50 open"))
  }

  @Test(arguments: [0, 40, 100, 600, 3000]) func `of one alert is no larger than allowed`(most: Int) throws {
    let child = try FDFactory()
    try child.open("eventfd", 200)
    let procfs = try Procfs()
    let process = try looked(at: child, in: procfs)
    var settings = EvidenceSettings()
    settings.maxBytes = most
    try store.keep(event("c"), json: "{\"a\":1}", of: process, in: procfs, settings: settings)
    #expect(try size("c") <= most)
  }
}
