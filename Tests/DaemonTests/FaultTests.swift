// SPDX-License-Identifier: Apache-2.0
// What must not end a daemon: reports of any kind, a full disk, few descriptors, processes that come and go.

import Foundation
import Linux
import TestSupport
import Testing

@Suite struct `A daemon in trouble` {
  @Test func `takes reports for what the kernel says, and not too many`() throws {
    let daemon = try RunningDaemon(RunningDaemon.watching("dt-none"))
    try daemon.waitUntilItListens()
    let path = daemon.place.runtime + "/report.sock"
    try Descriptor.send(
      Array("{\"message\":\"file was never closed\",\"stack\":[\"a.b\"],\"pid\":1,\"uid\":0}".utf8), to: path)
    try daemon.waitFor("[\(Host.ownPID)]: file was never closed (a.b)")
    let alert = try #require(try daemon.alerts.first)
    #expect(alert["type"] as? String == "report" && alert["pid"] as? Int32 == Host.ownPID)

    // Each of another kind, faster than anybody reports.
    var names = 0
    for round in 0..<40 {
      for letter in "abcdefghijklmnopqrstuvwxyz" {
        let text = String(repeating: letter, count: round + 1)
        if (try? Descriptor.send(Array(text.utf8), to: path)) == nil { _ = try daemon.get("/healthz") }
        names += 1
      }
    }
    #expect(names == 1040)
    _ = try daemon.get("/healthz")
    #expect(try daemon.alerts.count <= 22)
    #expect(try daemon.metric("fdwatch_alert_events_total{event=\"alert\"}") ?? 0 <= 21)
  }

  @Test(.enabled(if: Machine.isRoot && Machine.hasMountNamespaces, "needs root and mount namespaces"))
  func `whose disk is full says so once and goes on`() throws {
    let child = try child(named: "dt-full")
    try child.limit(soft: 1000)
    let place = try RunningDaemon.Place()
    try FileManager.default.createDirectory(atPath: place.state, withIntermediateDirectories: true)
    try place.configure(RunningDaemon.watching("dt-full"))
    let script =
      "mount -t tmpfs -o size=4k,nr_inodes=3 tmpfs \(place.state) && echo x > \(place.state)/x && exec \"$0\" \"$@\""
    let daemon = try RunningDaemon(place, launcher: ["unshare", "-m", "sh", "-c", script])
    for _ in 0..<2 {
      try child.open("eventfd", 987)
      try daemon.waitFor("fdwatch: dt-full[\(child.pid)]: 990 of 1000")
      try child.close(Array(child.open))
      try daemon.waitFor("Over: dt-full[\(child.pid)]")
    }
    #expect(daemon.said.components(separatedBy: "takes no more").count == 2, "said once: \(daemon.said)")
    #expect(try daemon.terminate().status == .exited(0))
  }

  @Test func `with few descriptors watches what fits, says so once, and still answers`() throws {
    // What the tests beside this one have open without close-on-exec would count.
    let script =
      "for d in /proc/self/fd/*; do n=${d##*/}; [ $n -le 2 ] || eval \"exec $n>&-\"; done; "
      + "exec prlimit --nofile=40:40 \"$0\" \"$@\""
    let daemon = try RunningDaemon(
      "interval = \"250ms\"\n[alerts]\njournal = false\n[[hook]]\nname = \"h\"\nshell = \"echo hook ran\"\n",
      launcher: ["bash", "-c", script])
    try daemon.waitFor("processes are not watched", "raise LimitNOFILE=")
    try daemon.eventually { try daemon.get("/healthz") == "ok\n" }
    try daemon.eventually { try daemon.metric("fdwatch_unseen_processes{reason=\"limit\"}") ?? 0 > 0 }
    // At a moment when none is left to look, it does not say.
    try daemon.eventually { try daemon.metric("process_open_fds") ?? 99 <= 40 }
    try daemon.eventually { (1...16).contains(try daemon.status["watched"] as? Int ?? 0) }
    try daemon.eventually { try daemon.ask("test-alert").status == .exited(0) }
    try daemon.waitFor("hook h: hook ran")
    // The number of them changes, and what is said does not.
    try daemon.eventually { try daemon.metric("fdwatch_polls_total") ?? 0 > 50 }
    #expect(daemon.said.components(separatedBy: "processes are not watched").count == 2)
    #expect(!daemon.said.contains("takes no more"))
  }

  @Test func `among processes that come and go keeps its own descriptors`() throws {
    let place = try RunningDaemon.Place()
    try place.configure(RunningDaemon.watching("dt-storm"))
    try FileManager.default.createSymbolicLink(
      atPath: place.path + "/dt-storm", withDestinationPath: try #require(path(of: "sleep")))
    let daemon = try RunningDaemon(place)
    try daemon.waitUntilItListens()
    try daemon.eventually { try daemon.metric("fdwatch_host_file_handles") != nil }
    let before = try #require(try daemon.metric("process_open_fds"))
    // Most are gone before anybody looks, some are looked at and gone, some are looked at.
    let storm = try ChildProcess([
      "sh", "-c",
      """
      i=0
      while [ $i -lt 3000 ]; do
        /bin/true
        [ $((i % 10)) = 0 ] && \(place.path)/dt-storm 1 &
        i=$((i + 1))
      done
      wait
      echo done
      """,
    ])
    #expect(try storm.readLine() == "done")
    for _ in 0..<500 { #expect(try daemon.get("/healthz") == "ok\n") }
    #expect(try daemon.metric("fdwatch_polls_total") ?? 0 > 0)
    try daemon.eventually {
      try daemon.status["watched"] as? Int == 0 && daemon.metric("process_open_fds") == before
    }
    #expect(try daemon.terminate().status == .exited(0))
  }

  private func path(of program: String) -> String? {
    ["/usr/bin/", "/bin/"].map { $0 + program }.first { FileManager.default.fileExists(atPath: $0) }
  }
}
