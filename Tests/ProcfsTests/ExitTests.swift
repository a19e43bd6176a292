// SPDX-License-Identifier: Apache-2.0
// Processes that are going away: never does an exit look as if everything had been closed.

import Descriptors
import Foundation
import Procfs
import TestSupport
import Testing

@Suite struct `A process that goes away` {
  @Test func `is a zombie, then gone`() throws {
    let parent = try FDFactory()
    try parent.open("file", 4)
    let pid = try parent.fork()
    var watched = try Watched(pid)
    #expect(try watched.census().count == 7)
    try parent.exitChild(pid)
    #expect(watched.failure() == .zombie)
    #expect(throws: ProcfsError.zombie) { try watched.directory.explainEmptyTable() }
    try parent.reapChild(pid)
    #expect(watched.failure() == .gone)
    #expect(throws: ProcfsError.gone) { try watched.directory.count() }
    #expect(throws: ProcfsError.gone) { try watched.directory.limits() }
    #expect(throws: ProcfsError.gone) { _ = try Watched(pid) }
  }

  @Test(arguments: [Procfs.Counting?.none, .byListing])
  func `with its main thread only is followed to another`(counting: Procfs.Counting?) throws {
    let child = try FDFactory()
    let files = try child.open("file", 6)
    var watched = try Watched(child, counting: counting)
    _ = try watched.census()
    try child.exitMainThread()
    let poll = try watched.census()
    #expect(poll.count == 9)
    #expect(poll.closed.isEmpty && poll.opened.isEmpty)
    #expect(try watched.directory.count() == 9)
    try child.close([files[0]])
    #expect(try watched.census(.deep).closed == [files[0]])

    // The thread that is followed exits in its turn.
    try child.exitMainThread()
    #expect(try watched.directory.countOrExplain() == 8)
    #expect(try watched.census(.deep).closed.isEmpty)
  }

  /// Between the exit of its main thread and that of the last other one, which has let go of the table already.
  @Test func `in its last thread does not look as if all were closed`() throws {
    let tree = try TemporaryDirectory()
    func write(_ name: String, _ text: String) throws {
      let file = URL(filePath: "\(tree.path)/900/\(name)")
      try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try text.write(to: file, atomically: false, encoding: .utf8)
    }
    func stat(_ state: Character) -> String {
      "900 (x) \(state) 1 900 900 0 -1 4194564 0 0 0 0 0 0 0 0 20 0 2 0 5120 0 0 0 0 0\n"
    }
    try write("stat", stat("Z"))
    try write("task/901/stat", stat("R"))
    try write("task/901/status", "Name:\tx\nUid:\t0\t0\t0\t0\nFDSize:\t0\n")
    for folder in ["fd", "task/900", "task/901/fd"] {
      try FileManager.default.createDirectory(atPath: "\(tree.path)/900/\(folder)", withIntermediateDirectories: true)
    }
    try write("task/900/stat", stat("Z"))
    var process = try ProcessDirectory(pid: 900, in: try Procfs(path: tree.path))
    #expect(throws: ProcfsError.zombie) { _ = try process.countOrExplain() }
    // While it still has its table it is followed.
    try write("task/901/status", "Name:\tx\nUid:\t0\t0\t0\t0\nFDSize:\t64\n")
    try write("task/901/fd/3", "")
    #expect(try process.countOrExplain() == 1)
  }

  @Test func `without its main thread is seen by who comes late`() throws {
    let child = try FDFactory()
    let number = try child.openOne("eventfd")
    try child.exitMainThread()
    var watched = try Watched(child)
    let poll = try watched.census()
    #expect(poll[number]?.kind == .eventfd && poll.count == 4)
  }

  @Test(arguments: [false, true]) func `in the middle of a census does not look as if all were closed`(
    isReaped: Bool
  ) throws {
    for round in 0..<8 {
      let child = try FDFactory()
      try child.open("eventfd", 400)
      var watched = try Watched(child)
      #expect(try watched.census().count == 403)
      let pid = child.pid
      let started = DispatchSemaphore(value: 0)
      let killer = Thread {
        started.signal()
        // Another share of a census each time, so that the exit falls into all parts of it.
        for _ in 0..<(round * 40) { sched_yield() }
        kill(pid, SIGKILL)
        if isReaped { waitpid(pid, nil, 0) }
      }
      killer.start()
      started.wait()
      while true {
        do {
          let poll = try watched.census([.none, .links, .deep][round % 3])
          #expect(poll.count == 403 && poll.closed.isEmpty, "an exit was taken for closing")
        } catch {
          #expect(error == .zombie || error == .gone)
          break
        }
      }
      #expect(watched.table.count == 403)
    }
  }

  @Test(.enabled(if: Machine.isRoot && Machine.hasProcessNamespaces, "takes root and a namespace of processes"))
  func `and whose number is given away is not mixed up with the next`() throws {
    // In a namespace of its own the next number can be chosen. Its procfs is seen through the root of its first process.
    let parent = try FDFactory(launcher: ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
    let outside = parent.process.pid
    let proc = "/proc/\(outside)/root/proc"
    try parent.open("file", 2)
    let pid = try parent.fork()
    var watched = try Watched(pid, in: proc)
    #expect(try watched.census().count == 5)
    try parent.exitChild(pid)
    try parent.reapChild(pid)

    try parent.open("eventfd", 3)
    let enter = ["nsenter", "--pid=/proc/\(outside)/ns/pid_for_children"]
    let setting = try ChildProcess(enter + ["sh", "-c", "echo \(pid - 1) > /proc/sys/kernel/ns_last_pid"]).finish()
    try #require(setting.status == .exited(0), "\(setting.errors)")
    #expect(try parent.fork() == pid, "the number was not given out again")

    #expect(watched.failure() == .gone)
    #expect(throws: ProcfsError.gone) { try watched.directory.count() }
    #expect(throws: ProcfsError.gone) { try watched.directory.identity() }
    var next = try Watched(pid, in: proc)
    #expect(try next.census().count == 8)
    #expect(next.directory.startTime >= watched.directory.startTime)
  }
}
