// SPDX-License-Identifier: Apache-2.0
// A real Go program that leaks from call sites of its own, and what fdwatch says of it.

import Foundation
import TestSupport
import Testing

/// What was said of a leak, as JSON.
private struct Said {
  let fields: [String: Any]

  var culprits: [(frame: String, share: Double)] {
    (fields["stacks"] as? [[String: Any]] ?? []).map { ($0["blamed"] as? String ?? "", $0["share"] as? Double ?? 0) }
  }

  func share(_ function: String) -> Double { culprits.first { $0.frame.hasPrefix(function + " ") }?.share ?? 0 }

  static func lines(_ output: String) throws -> [Said] {
    try output.split(separator: "\n").map {
      Said(fields: try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]))
    }
  }

  static func alert(_ output: String) throws -> Said {
    try #require(try lines(output).first { $0.fields["event"] as? String == "alert" }, "\(output)")
  }
}

@Suite struct `A Go program that leaks` {
  private func watch(_ program: GoProgram, _ arguments: String...) throws -> ChildProcess.Outcome {
    try BuiltBinary.run(["\(program.pid)", "--format", "json", "--interval", "250ms"] + arguments)
  }

  /// Slow enough for a correlation, fast enough for a test.
  private func program(_ leak: String, _ more: String..., listen: String = "127.0.0.1:0") throws -> GoProgram {
    let program = try GoProgram(
      ["-leak", leak, "-load", "4", "-limit", "240", "-listen", listen, "-delay", "2s"] + more)
    // Its ordinary work has come to what it always is by then.
    #expect(try program.process.readLine() == "leaking")
    return program
  }

  @Test(arguments: [("a", "main.leakA"), ("b", "main.leakB"), ("c", "main.leakC")])
  func `from one call site is told by that site`(site: String, function: String) throws {
    let program = try program("\(site)=6")
    let outcome = try watch(
      program, "--profile", "http://\(program.address)/debug/pprof/file", "--until-leak", "--for", "90s")
    #expect(outcome.status == .exited(1))
    let alert = try Said.alert(outcome.output)
    // It is told after half a minute, as the limit is near: some of the ordinary work is younger than that.
    #expect(alert.share(function) >= 0.9, "\(alert.culprits)")
    #expect((alert.fields["stack"] as? [String])?.last?.contains("main.every") == true, "the whole stack, root last")
    #expect(alert.fields["profile"] as? String == "file")
  }

  @Test func `from two call sites is told by both, with their shares`() throws {
    let program = try program("a=4.5,b=1.5")
    let outcome = try watch(
      program, "--profile", "http://\(program.address)/debug/pprof/file", "--until-leak", "--for", "90s")
    let alert = try Said.alert(outcome.output)
    #expect(abs(alert.share("main.leakA") - 0.75) < 0.2 && abs(alert.share("main.leakB") - 0.25) < 0.2)
    #expect(alert.share("main.leakA") + alert.share("main.leakB") >= 0.95, "\(alert.culprits)")
  }

  /// Its first snapshot comes when the listeners are known, after the leak began: what then is open of the ordinary load
  /// counts for more than it does where the address is given.
  @Test func `is found by itself, behind a UNIX socket`() throws {
    let directory = try TemporaryDirectory()
    // Files of many names look like a cache for longer: slow enough that the limit is not reached before it is told.
    let program = try program("c=3", listen: directory.path + "/pprof.sock")
    let outcome = try watch(program, "--discover", "--until-leak", "--for", "180s")
    #expect(try Said.alert(outcome.output).share("main.leakC") >= 0.9, "\(outcome.output)")
    #expect(outcome.output.contains("it serves profiles at unix:\(directory.path)/pprof.sock:/debug/pprof/"))
  }

  @Test func `is found by itself, behind an abstract socket`() throws {
    let name = "@goleak-\(getpid())"
    let program = try program("a=6", listen: name)
    let outcome = try watch(program, "--discover", "--until-leak", "--for", "90s")
    #expect(try Said.alert(outcome.output).share("main.leakA") >= 0.9, "\(outcome.output)")
    #expect(outcome.output.contains("it serves profiles at unix:\(name):/debug/pprof/"))
  }

  @Test func `is asked by HTTPS, if its certificate is trusted`() throws {
    let certificate = TemporaryFile()
    let program = try GoProgram(["-tls", certificate.path, "-load", "5"])
    let url = "https://\(program.address)/debug/pprof/file"
    let saved = TemporaryFile()
    let trusted = try watch(
      program, "--profile", url, "--profile-ca", certificate.path, "--for", "3s", "--save-profile", saved.path)
    #expect(saved.bytes.starts(with: [0x1f, 0x8b]), "\(trusted.output)")
    #expect(!trusted.output.contains("certificate"))
    let stranger = try watch(program, "--profile", url, "--for", "3s")
    #expect(stranger.output.contains("certificate"), "\(stranger.output)")
  }

  /// No new connection is accepted then: the one that was opened early must do.
  @Test func `is told with its stack when it has no descriptor left`() throws {
    let program = try GoProgram(["-leak", "a=6", "-load", "0", "-limit", "90"])
    let url = "http://\(program.address)/debug/pprof/file"
    let outcome = try watch(program, "--profile", url, "--for", "40s")
    let lines = try Said.lines(outcome.output)
    let last = try #require(lines.last { $0.fields["stacks"] != nil }, "\(outcome.output)")
    #expect(last.share("main.leakA") >= 0.95)
    #expect(!outcome.output.contains("does not answer"))
    // Who comes late is told why there is nothing. The descriptor of our connection is taken again at once.
    var full = 0
    while full < 20 {
      let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(program.pid)/fd").count
      full = open >= 90 ? full + 1 : 0
      usleep(100_000)
    }
    let late = try watch(program, "--profile", url, "--for", "10s")
    #expect(late.output.contains("accepts but does not answer"), "\(late.output)")
  }

  @Test func `but not from what a profile counts, is told so`() throws {
    let program = try program("a=6")
    let outcome = try watch(
      program, "--profile", "http://\(program.address)/debug/pprof/goleak/objects", "--until-leak", "--for", "90s")
    let alert = try Said.alert(outcome.output)
    #expect(alert.fields["stack"] == nil || (alert.culprits.first?.share ?? 0) < 0.95)
  }

  @Test func `says where its profile is, in its environment`() throws {
    let directory = try TemporaryDirectory()
    let socket = directory.path + "/pprof.sock"
    let program = try GoProgram(
      ["-leak", "b=6", "-load", "6", "-limit", "240", "-listen", socket],
      environment: ["FDWATCH_PROFILE": "unix:\(socket):/debug/pprof/file"])
    let outcome = try watch(program, "--until-leak", "--for", "90s")
    #expect(try Said.alert(outcome.output).share("main.leakB") >= 0.9, "\(outcome.output)")
  }

  @Test func `is recorded with its stacks, and replayed with the same blame`() throws {
    let program = try program("a=6")
    let trace = TemporaryFile()
    let recorded = try BuiltBinary.run(
      [
        "record", "\(program.pid)", "--for", "45s", "-o", trace.path, "--profile",
        "http://\(program.address)/debug/pprof/file",
      ])
    #expect(recorded.status == .exited(0), "\(recorded.errors)")
    let json = try BuiltBinary.run(["replay", "--format", "json", trace.path])
    #expect(try Said.alert(json.output).share("main.leakA") >= 0.9)
    // A wrapper that is named is not blamed, but the one that called it.
    let skipping = try BuiltBinary.run(["replay", "--format", "json", "--skip-frames", "main.leakA", trace.path])
    #expect(try Said.alert(skipping.output).culprits.first?.frame.hasPrefix("main.main.func") == true)
    let text = try BuiltBinary.run(["replay", trace.path])
    // Lines are wrapped where they are full.
    let words = text.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    #expect(words.contains("opened by main.leakA (main.go:"), "\(text.output)")
  }
}

@Suite struct `A Go program that does not leak` {
  @Test func `is blamed for nothing, and hardly asked`() throws {
    let program = try GoProgram(["-load", "25", "-limit", "400"])
    let saved = TemporaryFile()
    let outcome = try BuiltBinary.run([
      "\(program.pid)", "--profile", "http://\(program.address)/debug/pprof/file", "--for", "25s", "--format", "json",
      "--save-profile", saved.path,
    ])
    #expect(outcome.status == .exited(0))
    #expect(try Said.lines(outcome.output).map { $0.fields["event"] as? String } == ["end"], "\(outcome.output)")
    #expect(saved.bytes.starts(with: [0x1f, 0x8b]), "what go tool pprof opens")
  }
}
