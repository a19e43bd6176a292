// SPDX-License-Identifier: Apache-2.0
// Arguments and environment: as much as a process likes, of which no more is read than is of use.

import Foundation
import Linux
import TestSupport
import Testing

@testable import Procfs

@Suite struct `A variable of an environment` {
  @Test(arguments: [1, 2, 3, 7, 4096]) func `is found wherever the pieces end`(size: Int) {
    let text = Array("PATH=/bin\0FDWATCH_PROFILE_X=no\0XFDWATCH_PROFILE=no\0\0FDWATCH_PROFILE=unix:/a=b\0LAST=1\0".utf8)
    func find(_ name: String) -> String? {
      var search = EnvironmentSearch(for: name)
      for start in stride(from: 0, to: text.count, by: size) {
        if let value = search.take(Array(text[start..<min(start + size, text.count)])) { return value }
      }
      return search.end()
    }
    #expect(find("FDWATCH_PROFILE") == "unix:/a=b" && find("PATH") == "/bin" && find("LAST") == "1")
    #expect(find("FDWATCH") == nil && find("PROFILE") == nil && find("") == nil)
  }

  @Test(arguments: [(EnvironmentSearch.longestValue, true), (EnvironmentSearch.longestValue + 1, false)])
  func `has an end, or is none`(length: Int, isFound: Bool) {
    var search = EnvironmentSearch(for: "A")
    let value = String(repeating: "x", count: length)
    #expect(search.take(Array("A=\(value)\0A=second\0".utf8)) == (isFound ? value : "second"))
  }

  @Test func `is found at the end of a long one, in little memory`() async throws {
    await #expect(processExitsWith: .success) {
      // Three bytes each and a pointer: nearly as many variables as an environment can have.
      let child = try ChildProcess(["python3", "-c", Self.program, "150000", "FDWATCH_PROFILE=/x"])
      try child.read { $0.contains("ready") }
      let process = try ProcessDirectory(pid: child.pid, in: Procfs())
      let before = try anonymousKiB()
      #expect(process.environment("FDWATCH_PROFILE") == "/x" && process.environment("NO_SUCH") == nil)
      #expect(try anonymousKiB() - before < 1024)
    }
  }

  /// execve(2) takes what environ(7) would not: one name many times.
  private static let program = """
    import ctypes, sys
    n = int(sys.argv[1])
    argv = (ctypes.c_char_p * 4)(b"sh", b"-c", b"echo ready; read x", None)
    env = (ctypes.c_char_p * (n + 2))(*([b"a="] * n + [sys.argv[2].encode(), None]))
    ctypes.CDLL(None).execve(b"/bin/sh", argv, env)
    """
}

/// Anonymous memory of this process: see proc_pid_status(5).
private func anonymousKiB() throws -> Int {
  let text = try String(contentsOfFile: "/proc/self/smaps_rollup", encoding: .utf8)
  guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("Anonymous:") }),
    let kib = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
  else { throw TestFailure("no Anonymous: in smaps_rollup") }
  return kib
}

@Suite struct `A command line` {
  @Test func `of a hundred thousand arguments is read to where it is of use`() async {
    await #expect(processExitsWith: .success) {
      let child = try ChildProcess(
        ["/bin/sh", "-c", "echo ready; read x", "first"] + [String](repeating: "a", count: 100_000))
      try child.read { $0.contains("ready") }
      let process = try ProcessDirectory(pid: child.pid, in: Procfs())
      let before = try anonymousKiB()
      let kept = try (0..<20).map { _ in try process.identity() }
      let shown = try process.commandLine(upTo: ProcessDirectory.shownCommandLine)
      // Before, each took 1.8 MB for the strings alone.
      #expect(try anonymousKiB() - before < 1024)
      #expect(kept.allSatisfy { $0.command == "sh" })
      // An end of an argument that comes last is cut off.
      #expect((4095...4096).contains(shown.utf8.count) && shown.hasPrefix("/bin/sh -c echo ready; read x first a a a"))
    }
  }

  @Test func `of a process without one is empty`() throws {
    // The kernel's threads have none.
    guard let thread = try? ProcessDirectory(pid: 2, in: Procfs()), thread.isKernelThread else { return }
    #expect(try thread.commandLine(upTo: 100) == "")
  }
}
