// SPDX-License-Identifier: Apache-2.0
// Addresses of a program that is compiled here, and of maps that a compiler at run time would leave.

import Foundation
import Parsing
import Pprof
import Symbols
import TestSupport
import Testing

/// A compiled C program, running.
private final class Compiled {
  let directory: TemporaryDirectory
  let process: ChildProcess
  let function: UInt64
  let call: UInt64
  var mapping: Profile.Mapping

  init(_ options: String...) throws {
    directory = try TemporaryDirectory()
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("program.c").path
    let target = directory.path + "/program"
    // The toolchain that builds all this has a C compiler.
    let compiler = try ChildProcess(
      ["clang", "-O1", "-o", target, source] + options,
      environment: ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? ""])
    compiler.closeInput()
    let outcome = try compiler.finish()
    guard outcome.status == .exited(0) else { throw TestFailure(outcome.errors) }
    process = try ChildProcess([target])
    let words = try #require(try process.readLine()).split(separator: " ")
    function = try #require(UInt64(words[0].dropFirst(2), radix: 16))
    // A return address: the call lies before it.
    call = try #require(UInt64(words[1].dropFirst(2), radix: 16)) - 1
    let maps = try String(contentsOfFile: "/proc/\(process.pid)/maps", encoding: .utf8)
    let place = function
    mapping = try #require(
      maps.split(separator: "\n").compactMap { Profile.Mapping(maps: String($0)) }
        .first { $0.start <= place && place < $0.limit })
  }

  func frames(at address: UInt64) throws -> [Profile.Frame] {
    try Symbolizer(pid: process.pid).frames(at: address, in: mapping)
  }
}

@Suite struct `An address in a program` {
  @Test func `has its function, its line, and what was inlined there`() throws {
    let program = try Compiled("-g")
    let frames = try program.frames(at: program.call)
    #expect(frames.map(\.function) == ["inlined_open", "store_open"])
    #expect(frames.allSatisfy { $0.file.hasSuffix("/program.c") })
    #expect(frames.map(\.line) == [8, 14], "of the call in the one, and of the one in the other")
  }

  @Test(arguments: ["-fPIE -pie", "-no-pie"]) func `has its function where there are symbols only`(kind: String) throws
  {
    let options = kind.split(separator: " ").map(String.init)
    let program = options.count == 2 ? try Compiled(options[0], options[1]) : try Compiled(options[0])
    #expect(try program.frames(at: program.call).map(\.function) == ["store_open"])
  }

  @Test func `is a place in its file where there is nothing`() throws {
    let program = try Compiled("-s")
    let offset = program.call - program.mapping.start + program.mapping.offset
    #expect(try program.frames(at: program.call).map(\.function) == ["program+0x\(String(offset, radix: 16))"])
  }

  @Test func `is not looked up in a file of another build`() throws {
    let program = try Compiled("-g", "-Wl,--build-id=0x0123456789abcdef")
    program.mapping.buildID = "0123456789ABCDEF"
    #expect(try program.frames(at: program.call).map(\.function) == ["inlined_open", "store_open"])
    program.mapping.buildID = "ffff456789abcdef"
    #expect(try program.frames(at: program.call).first?.function.hasPrefix("program+0x") == true)
  }

  @Test(arguments: ["/etc/passwd", "/dev/zero", "/nonexistent", "/proc/kmsg", "/usr/bin"])
  func `is not looked up in what is no program`(path: String) throws {
    let program = try Compiled()
    program.mapping.file = path
    #expect(try program.frames(at: program.call).first?.function.contains("+0x") == true)
  }
}

@Suite struct `An address of compiled-at-run-time code` {
  /// The map lies in everybody's `/tmp`, under the child's own number.
  private func name(at address: UInt64, map: (String) throws -> Void) throws -> String? {
    let child = try ChildProcess(["cat"])
    let path = "/tmp/perf-\(child.pid).map"
    defer { unsafe unlink(path) }
    try map(path)
    let inputs = try ProcessInputs(ProcessKey(living: child.pid))
    guard let file = inputs.perfMap(below: try inputs.root()) else { return nil }
    let symbolizer = Symbolizer()
    symbolizer.read(PerfMap(file), for: [address], within: .none)
    return symbolizer.frames(at: address, in: nil).first?.function
  }

  @Test(
    arguments: [
      (0x1000, "first"), (0x10ff, "first"), (0x1100, nil), (0x2010, "LazyCompile:~open /srv/app.js:7"), (0xfff, nil),
      (0x3000, "second time"),
    ] as [(UInt64, String?)]) func `has the name that its map gives`(address: UInt64, expected: String?) throws
  {
    let text = """
      1000 100 first
      2000 20 LazyCompile:~open /srv/app.js:7
      no line of a map
      ffffffffffffffff 10 beyond the end
      3000 10 first time
      3000 10 second time
      4000 zz damaged
      5000 10
      """
    #expect(try name(at: address) { try text.write(toFile: $0, atomically: false, encoding: .utf8) } == expected)
  }

  @Test func `has none from a link`() throws {
    let other = TemporaryFile("1000 100 planted\n")
    #expect(try name(at: 0x1000) { _ = unsafe symlink(other.path, $0) } == nil)
  }

  @Test(.enabled(if: Machine.isRoot, "needs root, to give a file away"))
  func `has none from another user's map`() throws {
    let found = try name(at: 0x1000) {
      try "1000 100 planted\n".write(toFile: $0, atomically: false, encoding: .utf8)
      _ = unsafe chown($0, 65534, 65534)
    }
    #expect(found == nil)
  }
}
