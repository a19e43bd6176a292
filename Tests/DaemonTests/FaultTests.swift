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
    let dropped = try #require(try daemon.metric("fdwatch_reports_dropped_total"))
    #expect(try dropped > 900 && daemon.metric("fdwatch_reports_total") ?? 0 > dropped)
    #expect(try daemon.get("/healthz").contains(" reports dropped since the start: a process sent more than "))
    #expect(try daemon.ask("status").output.contains(" reports dropped since the start"))
    #expect(try daemon.alerts.count <= 22)
    #expect(try daemon.metric("fdwatch_alert_events_total{event=\"alert\"}") ?? 0 <= 21)
  }

  /// Each exits as soon as it may: by then the daemon has to know who it was.
  @Test func `knows the processes that report and exit at once`() throws {
    let daemon = try RunningDaemon(
      RunningDaemon.watching("dt-none").replacing("[alerts]", with: "[alerts]\nburst = 10000"))
    try daemon.waitUntilItListens()
    let reports = try ChildProcess.run(
      ["sh", "-c", "seq 300 | xargs -P 4 -I N \(Products.executable("fdwatch")) report 'dropped N'"],
      environment: ChildProcess.plainEnvironment.merging([
        "FDWATCH_REPORT_SOCKET": daemon.place.runtime + "/report.sock"
      ]) { $1 })
    #expect(reports.status == .exited(0), "\(reports.errors)")
    try daemon.eventually { try daemon.metric("fdwatch_reports_total") == 300 }
    // Its words are read to their end.
    #expect(try daemon.terminate().status == .exited(0))
    // Those of one unit are one alert after twenty; of whom nothing is known each is one of its own.
    let told = daemon.said.split(separator: "\n").filter { $0.contains(": dropped ") }
    #expect(told.count >= 20 && told.allSatisfy { $0.contains("fdwatch[") }, "\(told)")
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
    // And it is seen by whoever looks, with what it means.
    let problem = "cannot write to \(place.state) (No space left on device)"
    #expect(try daemon.metric("fdwatch_state_write_failed") == 1)
    #expect(try daemon.get("/healthz").hasPrefix("degraded\n\(problem)"))
    #expect(try (daemon.status["problems"] as? [String])?.first?.hasPrefix(problem) == true)
    #expect(try daemon.ask("status").output.contains("Degraded: \(problem)"))
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
    #expect(try daemon.metric("fdwatch_unseen_processes{reason=\"limit\"}") ?? 0 > 0)
    #expect(try daemon.metric("process_open_fds") ?? 99 <= 40)
    #expect((1...16).contains(try daemon.status["watched"] as? Int ?? 0))
    #expect(try daemon.ask("test-alert").status == .exited(0))
    try daemon.waitFor("hook h: hook ran")
    // The number of them changes, and what is said does not.
    try daemon.eventually { try daemon.metric("fdwatch_polls_total") ?? 0 > 50 }
    #expect(daemon.said.components(separatedBy: "processes are not watched").count == 2)
    #expect(!daemon.said.contains("takes no more"))
  }

  @Test(.enabled(if: MemoryGroup.isUsable, "needs root and the memory controller of cgroup v1"))
  func `keeps to the memory that its unit gives it, with many descriptors to follow`() throws {
    let group = try MemoryGroup(limit: 64 << 20)
    let children = try (0..<6).map { _ in try child(named: "dt-large") }
    for child in children { try child.open("eventfd", 15_000) }
    let leaking = try leakingChild(named: "dt-large")
    let daemon = try RunningDaemon(RunningDaemon.watching("dt-large"), launcher: group.launcher)
    try daemon.waitFor("dt-large[\(leaking.pid)] leaks eventfd")
    #expect(try daemon.metric("fdwatch_open_descriptors{unit=\"\"}") ?? 0 > 90_000)
    #expect(try group.kills == 0)
    #expect(try daemon.terminate().status == .exited(0))
  }

  /// What libdw reads of a Swift program's libraries takes 13 MB, which is not kept for each of them.
  @Test(.enabled(if: MemoryGroup.isUsable, "needs root and the memory controller of cgroup v1"))
  func `keeps to it, too, when it names the stacks of several programs`() throws {
    let group = try MemoryGroup(limit: 64 << 20)
    let place = try RunningDaemon.Place()
    // By the folder that they leak into: other tests have such programs, too.
    try place.configure(
      RunningDaemon.watching("no such").replacing(
        "comm = \"no such\"", with: "cmdline = \"*swiftleak*\(place.path)\""))
    let programs = try (0..<6).map { _ in
      try ChildProcess([Products.executable("swiftleak"), "b", "6", "240", place.path])
    }
    for program in programs { try program.write("\n") }
    let daemon = try RunningDaemon(place, launcher: group.launcher)
    for program in programs { try daemon.process.read { $0.contains("swiftleak[\(program.pid)] leaks") } }
    try daemon.eventually {
      try daemon.alerts.count == 6 && daemon.alerts.allSatisfy { "\($0["message"] ?? "")".contains("swiftleak.leakB") }
    }
    #expect(try group.kills == 0)
    #expect(try daemon.terminate().status == .exited(0))
  }
}

/// A cgroup with a limit of memory. Removed with this object.
private final class MemoryGroup {
  private static let root = "/sys/fs/cgroup/memory"
  private let path = "\(root)/fdwatch-test-\(UUID().uuidString)"

  static var isUsable: Bool { Machine.isRoot && (try? MemoryGroup(limit: 1 << 30)) != nil }

  init(limit: Int) throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    let file = try FileHandle(forWritingTo: URL(filePath: path + "/memory.limit_in_bytes"))
    try file.write(contentsOf: Data("\(limit)".utf8))
    try file.close()
  }

  deinit { unsafe rmdir(path) }

  /// Runs a command in it.
  var launcher: [String] { ["sh", "-c", "echo $$ > \(path)/cgroup.procs && exec \"$0\" \"$@\""] }

  /// How many the kernel has killed for want of memory.
  var kills: Int {
    get throws {
      let text = try String(contentsOfFile: path + "/memory.oom_control", encoding: .utf8)
      let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("oom_kill ") })
      return try #require(Int(line.split(separator: " ")[1]))
    }
  }
}
