// SPDX-License-Identifier: Apache-2.0
// The examples: each forgets to close what is empty, and says so from outside.

import Attribution
import Foundation
import LeakTable
import Pprof
import Symbols
import TestSupport
import Testing

@Suite(.serialized) struct `An example` {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../..").standardizedFileURL.path
  private let full = TemporaryFile("first\nsecond\n")
  private let empty = TemporaryFile("")
  private let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  /// Lets it serve two files that it closes, and two that it does not.
  private func serve(_ child: ChildProcess) throws {
    for path in [full, empty, full, empty].map(\.path) {
      try child.write(path + "\n")
      #expect(try child.readLine() == (path == full.path ? "first" : "\(path) is empty"))
    }
  }

  /// Of what it holds: its profile, frames, and how many there are.
  private func held(_ child: ChildProcess) throws -> [(profile: String, frames: [String], descriptors: [Int32])] {
    let mappings = try Mappings(of: child.pid)
    let symbolizer = try Symbolizer(pid: child.pid)
    return try table(of: child.pid).snapshot().profiles.flatMap { profile in
      let pprof = profile.pprof(mappings)
      return pprof.stackCounts { symbolizer.frames(of: $0, in: pprof.mappings) }
        .map { (profile.name, $0.frames, $0.descriptors) }
    }
  }

  /// Runs a command of the build to its end.
  @discardableResult
  private func run(_ command: String..., in folder: String = Self.root) throws -> ChildProcess.Outcome {
    let child = try ChildProcess(
      command,
      environment: ChildProcess.plainEnvironment.merging([
        "HOME": NSTemporaryDirectory(), "GOCACHE": NSTemporaryDirectory() + "fdwatch-go-cache",
      ]) { $1 }, workingDirectory: folder)
    child.closeInput()
    let outcome = try child.finish()
    if outcome.status != .exited(0) { throw TestFailure("\(command): \(outcome.output)\(outcome.errors)") }
    return outcome
  }

  /// So that examples can be built while other tests run: in a place of their own.
  private func library() throws -> String {
    try run("make", "leakprofile", "library=\(directory.path)")
    return directory.path
  }

  @Test func `in Swift names the function that forgot`() throws {
    let child = try ChildProcess([Products.executable("example-server")])
    try serve(child)
    let found = try held(child)
    #expect(found.count == 1 && found[0].profile == "file" && found[0].descriptors.count == 2)
    #expect(found[0].frames.contains { $0.hasPrefix("example_server.firstLine(of: Swift.String)") }, "\(found)")
  }

  /// As optimized as programs are: there the compiler inlines what it can.
  @Test(arguments: [true, false]) func `in C does, with frame pointers and without`(hasFramePointers: Bool) throws {
    let library = try library()
    let program = directory.path + "/server"
    try run(
      "cc", "-g", "-O2", hasFramePointers ? "-fno-omit-frame-pointer" : "-fomit-frame-pointer", "-I",
      "Sources/CLeakProfile/include", "Examples/c/server.c", library + "/libleakprofile.a", "-lpthread", "-o", program)
    let child = try ChildProcess([program])
    try serve(child)
    let found = try held(child)
    #expect(found.count == 1 && found[0].descriptors.count == 2)
    #expect(found[0].frames.first?.hasPrefix("first_line ") == true, "\(found)")
    #expect(found[0].frames.dropFirst().first?.hasPrefix("main ") == true, "\(found)")
    let blamed = FrameFilter().named(found[0].frames, in: found[0].profile)
    #expect(blamed.own == 0, "\(found)")
  }

  @Test func `in Python names the line, and reports what was dropped`() throws {
    let library = try library() + "/libleakprofile.so"
    let reports = try DatagramSocket(path: directory.path + "/report.sock")
    let child = try ChildProcess(
      ["python3", Self.root + "/Examples/python/server.py"],
      environment: ChildProcess.plainEnvironment.merging([
        "LEAKPROFILE": library, "FDWATCH_REPORT_SOCKET": directory.path + "/report.sock",
      ]) { $1 })
    try serve(child)
    let found = try held(child)
    #expect(found.count == 1 && found[0].profile.hasPrefix("file first_line server.py:"), "\(found)")
    #expect(found.first?.descriptors.count == 2)
    // The frames are libffi's and the interpreter's: none of them is named in an alert.
    let blamed = FrameFilter().named(found[0].frames, in: found[0].profile)
    #expect(blamed.frames[blamed.own].hasPrefix("first_line server.py:"), "\(found)")
    try child.write("!\(full.path)\n")
    #expect(try child.readLine() == "dropped")
    let report = try reports.receive()
    #expect(report.contains("missing close") && report.contains("server.py:"), "\(report)")
  }

  @Test func `in Go serves the profile of our package`() throws {
    let program = directory.path + "/server"
    try run("go", "build", "-o", program, in: Self.root + "/Examples/go")
    let child = try ChildProcess([program])
    let address = try #require(try child.readLine())
    try serve(child)
    let text = try run("go", "tool", "pprof", "-raw", address).output
    #expect(text.contains("main.firstLine"), "\(text)")
    #expect(text.contains("\n          2: "), "\(text)")
  }

  @Test func `package for Go does what it says`() throws {
    try run("go", "vet", ".", in: Self.root + "/Clients/go")
    try run("go", "test", "-count=1", ".", in: Self.root + "/Clients/go")
  }
}
