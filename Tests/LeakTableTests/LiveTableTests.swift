// SPDX-License-Identifier: Apache-2.0
// Tables of live programs, which write them while they are read.

import Foundation
import LeakTable
import Linux
import Pprof
import Symbols
import TestSupport
import Testing

/// And not the daemon's.
typealias ChildProcess = TestSupport.ChildProcess

/// The tables that a process has, by their numbers.
func tables(of pid: Int32) throws -> [Int32] {
  let names = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")
  return try names.compactMap { name in
    try link(of: name, pid) == SharedTable.target ? Int32(name) : nil
  }.sorted()
}

func link(of name: String, _ pid: Int32) throws -> String? {
  try Descriptor(path: "/proc/\(pid)/fd").link(name)
}

func table(of pid: Int32) throws -> SharedTable {
  let number = try #require(try tables(of: pid).first, "it has a table")
  return try SharedTable(pid: pid, descriptor: number)
}

@Suite struct `The table of a program with 8 threads` {
  private static let kept = (1...8).flatMap { thread in (0..<100).map { Int32(thread << 16 + $0) } }

  /// What is kept is there once, at most 64 of each thread beside it, and each where its stack says.
  private func check(_ snapshot: TableSnapshot) throws {
    let profile = try #require(snapshot.profiles.first)
    try #require(snapshot.profiles.count == 1 && profile.name == "file" && profile.lostValues == 0)
    let all = profile.groups.flatMap(\.descriptors)
    try #require(Set(all).count == all.count, "nothing is there twice")
    try #require(Set(all).isSuperset(of: Self.kept), "what is never removed is always there")
    try #require(all.count <= Self.kept.count + 8 * 64 && profile.entries == all.count)
    for group in profile.groups {
      try #require(group.count == group.descriptors.count && !group.stack.isEmpty)
      try #require(Set(group.descriptors.map { $0 % 4 }).count <= 1, "an entry is whole")
      try #require(group.descriptors.allSatisfy { (1...8).contains($0 >> 16) && $0 & 0xffff < 164 })
    }
  }

  @Test func `is consistent at every look while a million values come and go`() throws {
    let child = try ChildProcess([Products.executable("leakstress"), "125000"])
    #expect(try child.readLine() == "ready")
    let table = try table(of: child.pid)
    var looks = 0
    var said: String?
    while said == nil {
      try check(try table.snapshot(ownedBy: UInt32(child.pid)))
      looks += 1
      said = try child.hasOutput ? child.readLine() : nil
    }
    #expect(looks > 10, "so many looks: \(looks)")
    #expect(said?.hasPrefix("done ") == true)
    let last = try table.snapshot()
    #expect(last.isExact && last.profiles[0].entries == Self.kept.count)
    // Which function it was is a matter of the rest of the key.
    let mappings = try Mappings(of: child.pid)
    let symbolizer = try Symbolizer(pid: child.pid)
    for group in last.profiles[0].groups {
      let address = group.stack[0]
      let name = symbolizer.frames(at: address, in: mappings.mapping(of: address)).last?.function
      #expect(name == "site\(group.descriptors[0] % 4)")
    }
  }

  @Test func `is read while it is stopped in the midst of it, always the same`() throws {
    let child = try ChildProcess([Products.executable("leakstress"), "1000000000"])
    #expect(try child.readLine() == "ready")
    for _ in 0..<20 {
      try child.stopAndWait()
      let table = try table(of: child.pid)
      let snapshot = try table.snapshot()
      try check(snapshot)
      #expect(snapshot.isExact)
      #expect(try table.snapshot() == snapshot)
      child.send(SIGCONT)
    }
    child.send(SIGKILL)
  }

  @Test func `is none of its child's, which has its own`() throws {
    let parent = try ChildProcess([Products.executable("leakstress"), "fork"])
    let child = try #require(try parent.readLine()?.split(separator: " ").last.flatMap { Int32($0) })
    #expect(try parent.readLine() == "parent \(parent.pid)")
    #expect(try tables(of: child).count == 1)
    let its = try table(of: child).snapshot(ownedBy: UInt32(child))
    #expect(its.profiles[0].groups.flatMap(\.descriptors).sorted() == [7, 1 << 16])
    let own = try table(of: parent.pid).snapshot(ownedBy: UInt32(parent.pid))
    try check(own)
    #expect(own.profiles[0].entries == Self.kept.count)
    #expect(throws: LeakTableError.belongs(toPid: UInt32(child))) {
      try table(of: child).snapshot(ownedBy: UInt32(parent.pid))
    }
    parent.closeInput()
    #expect(try parent.finish().status == .exited(0))
  }

  @Test func `is gone with exec`() throws {
    let child = try ChildProcess([Products.executable("leakstress"), "exec"])
    let outcome = try child.finish()
    #expect(outcome.status == .exited(0) && !outcome.output.contains("memfd"), "\(outcome.output)")
  }
}

@Suite struct `A Swift program` {
  @Test(
    arguments: [(1001, "guardedSite"), (1002, "trackedSite"), (1003, "tokenSite"), (1004, "numberSite")]
      as [(Int32, String)])
  func `is the innermost frame, and not the library`(descriptor: Int32, function: String) throws {
    let child = try ChildProcess([Products.executable("swiftleak")])
    try child.write("others\n")
    #expect(try child.readLine() == "ok")
    let found = try #require(try frames(child).first { $0.descriptors == [descriptor] })
    #expect(found.frames[0].hasPrefix("swiftleak.\(function)() "), "\(found.frames)")
  }

  /// The frames by which a value was opened, with file and line, as fdwatch tells them.
  private func frames(_ child: ChildProcess) throws -> [(count: Int, frames: [String], descriptors: [Int32])] {
    let profile = try #require(try table(of: child.pid).snapshot().profiles.first).pprof(try Mappings(of: child.pid))
    let symbolizer = try Symbolizer(pid: child.pid)
    return profile.stackCounts { symbolizer.frames(of: $0, in: profile.mappings) }
      .map { (Int($0.count), $0.frames, $0.descriptors) }
  }

  /// The line on which a function of the program begins.
  private func line(of function: String) throws -> Int {
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../swiftleak/Sites.swift")
    let lines = try String(contentsOf: source, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
    return try #require(lines.firstIndex { $0.contains("func \(function)()") }) + 1
  }

  @Test(arguments: ["a", "b", "c"], ["", "stopped", "fill", "deadlock"])
  func `tells who opened what, whatever state it is in`(site: String, state: String) throws {
    let child = try ChildProcess([Products.executable("swiftleak")])
    for _ in 0..<5 {
      try child.write(site + "\n")
      #expect(try child.readLine() == "ok")
    }
    switch state {
    case "stopped": try child.stopAndWait()
    case "fill", "deadlock":
      try child.write(state + "\n")
      #expect(try child.readLine() == (state == "fill" ? "full" : "hanging"))
    default: break
    }
    let function = "leak\(site.uppercased())"
    let all = try frames(child)
    let found = try #require(all.first { $0.count >= 5 && $0.frames.first?.contains(function) == true }, "\(all)")
    let place = "Sites.swift:\(try line(of: function))"
    #expect(
      found.frames[0].hasPrefix("swiftleak.\(function)() ") && found.frames[0].hasSuffix(place), "\(found.frames)")
    #expect(found.frames.contains { $0.contains("main.swift:") })
    // The join by number is exact: each of them is that file.
    #expect(found.descriptors.count == found.count)
    for descriptor in found.descriptors {
      #expect(try link(of: "\(descriptor)", child.pid) == Products.executable("swiftleak"))
    }
    if state == "fill" {
      #expect(try FileManager.default.contentsOfDirectory(atPath: "/proc/\(child.pid)/fd").count >= 120)
    }
    child.send(SIGKILL)
  }
}
