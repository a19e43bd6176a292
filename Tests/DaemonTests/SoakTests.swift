// SPDX-License-Identifier: Apache-2.0
// A daemon that watches itself, asked and reloaded all the while, among processes that come and go.

import Foundation
import Linux
import TestSupport
import Testing

/// How long: FDWATCH_SOAK=3600 takes an hour instead of half a minute, and prints a line a minute.
private let seconds = ProcessInfo.processInfo.environment["FDWATCH_SOAK"].flatMap { Int($0) }

@Suite struct `A daemon that runs for long` {
  /// In each second: most are gone before anybody looks, some are looked at and gone. Five thousand a minute.
  private static let storm = """
    turn=0
    while [ $turn -lt $1 ]; do
      i=0
      while [ $i -lt 84 ]; do
        if [ $((i % 8)) = 0 ]; then "$0" 0.7 & else /bin/true & fi
        i=$((i + 1))
      done
      sleep 1
      wait
      turn=$((turn + 1))
      echo $turn
    done
    """

  @Test func `keeps its own descriptors, at five thousand processes a minute`() throws {
    let place = try RunningDaemon.Place()
    // Its command line names this place, and so do those of the processes that come and go.
    try place.configure(
      """
      interval = "500ms"
      sensitivity = "high"
      [alerts]
      journal = false
      [[watch]]
      cmdline = "*\(place.path)*"
      [[hook]]
      name = "failing"
      shell = "echo; exit 1"
      """)
    let job = place.path + "/job"
    let sleep = try #require(["/usr/bin/sleep", "/bin/sleep"].first(where: FileManager.default.fileExists(atPath:)))
    try FileManager.default.createSymbolicLink(atPath: job, withDestinationPath: sleep)
    let daemon = try RunningDaemon(place)
    try daemon.waitUntilItListens()
    try daemon.eventually { try daemon.metric("fdwatch_polls_total") ?? 0 > 4 && daemon.status["watched"] as? Int == 1 }
    let before = try #require(try daemon.metric("process_open_fds"))

    let turns = seconds ?? 30
    let storm = try ChildProcess(["sh", "-c", Self.storm, job, "\(turns)"])
    for turn in 1...turns {
      #expect(try storm.readLine() == "\(turn)")
      #expect(try daemon.get("/healthz") == "ok\n")
      _ = try (daemon.status, daemon.get("/metrics"))
      guard turn % 10 == 0 else { continue }
      _ = try daemon.ask("test-alert")
      _ = try daemon.ask("silence", ["other", "--for", "1h", "--reason", "soak"])
      daemon.process.send(SIGHUP)
      guard seconds != nil, turn % 60 == 0 else { continue }
      let figures = try ["process_open_fds", "process_resident_memory_bytes", "process_cpu_seconds_total"].map {
        "\($0) \(try daemon.metric($0) ?? -1)"
      }
      print("\(turn) s: \(figures.joined(separator: ", ")), watched \(try daemon.status["watched"] ?? "?")")
    }
    #expect(try storm.finish().status == .exited(0))
    // While nobody else is watched, and the question before is over, too.
    try daemon.eventually {
      try daemon.status["watched"] as? Int == 1 && daemon.metric("process_open_fds") ?? .infinity <= before
    }
    #expect(try daemon.metric("fdwatch_polls_total") ?? 0 > Double(turns))
    #expect(try daemon.alerts.isEmpty)
    #expect(try daemon.terminate().status == .exited(0))
    // Nothing but what it was asked: no word for each of those that came and went.
    let others = daemon.said.split(separator: "\n").filter { line in
      !["Test of fdwatch", "hook failing", "alerts of other", "was read again", "begins", "ends: "].contains {
        line.contains($0)
      }
    }
    #expect(others.isEmpty, "\(others)")
  }
}
