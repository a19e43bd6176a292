// SPDX-License-Identifier: Apache-2.0
// The daemon as it is installed, in folders of a test's own.

import Daemon
import Foundation
import TestSupport
import Testing

/// `fdwatch daemon`, whose words all come to one pipe, so that tests wait for lines. Ended with this object.
final class RunningDaemon {
  /// What it keeps over a restart, and where it is asked.
  final class Place {
    let directory: TemporaryDirectory
    var path: String { directory.path }
    var configuration: String { path + "/fdwatch.toml" }
    var state: String { path + "/state" }
    var runtime: String { path + "/run" }
    var options: [String] { ["--runtime-dir", runtime, "--state-dir", state] }

    init() throws { directory = try TemporaryDirectory() }

    /// What a daemon that is killed now leaves of its alerts: they are written after they were told.
    var keptAlerts: String { get throws { try String(contentsOfFile: state + "/alerts.json", encoding: .utf8) } }

    func configure(_ text: String) throws { try text.write(toFile: configuration, atomically: true, encoding: .utf8) }
  }

  /// Looks at one process by its name, as often and as closely as it can, and leaves the machine's journal alone.
  static func watching(_ name: String, journal: Bool = false, _ more: String = "") -> String {
    """
    interval = "250ms"
    sensitivity = "high"
    cpu_budget = 100

    [alerts]
    journal = \(journal)

    [[watch]]
    comm = "\(name)"

    \(more)

    """
  }

  let place: Place
  let process: ChildProcess
  private var heard = 0

  /// Returns once it says that it has begun.
  /// - Parameter launcher: a command that runs it in its own place.
  init(_ place: Place, launcher: [String] = []) throws {
    self.place = place
    process = try BuiltBinary.start(
      ["daemon", "--root", place.path, "--config", "/fdwatch.toml"] + place.options,
      launcher: launcher + ["sh", "-c", "exec \"$0\" \"$@\" 2>&1"])
  }

  convenience init(_ configuration: String, launcher: [String] = []) throws {
    let place = try Place()
    try place.configure(configuration)
    try self.init(place, launcher: launcher)
  }

  deinit {
    process.send(SIGKILL)
    process.closeInput()
  }

  /// All that it has said.
  var said: String { process.output }

  /// Waits for a line with these words, after the last one that was waited for, and returns it.
  @discardableResult func waitFor(_ words: String...) throws -> String {
    var found = ""
    var length = 0
    try process.read(from: heard) { text in
      length = 0
      for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
        length += line.utf8.count + 1
        guard words.allSatisfy({ line.contains($0) }) else { continue }
        found = String(line)
        return true
      }
      return false
    }
    heard += length
    return found
  }

  func waitUntilItListens() throws {
    try waitUntilItStarts()
    try eventually { (try? get("/healthz")) == "ok\n" }
  }

  /// Well or not.
  func waitUntilItStarts() throws {
    try waitFor("fdwatch", "begins")
    // A socket of the one before it may lie there still.
    try eventually { try !get("/healthz").isEmpty }
  }

  /// Runs a command of fdwatch that asks it.
  func ask(_ command: String, _ arguments: [String] = []) throws -> ChildProcess.Outcome {
    try BuiltBinary.run([command] + place.options.prefix(command == "explain" ? 4 : 2) + arguments)
  }

  func get(_ path: String) throws -> String {
    String(decoding: try ControlClient(socket: place.runtime + "/fdwatch.sock").get(path), as: UTF8.self)
  }

  var status: [String: Any] {
    get throws { try object(get("/status")) }
  }

  var alerts: [[String: Any]] { get throws { try status["alerts"] as? [[String: Any]] ?? [] } }

  /// The value of a metric without labels, or with these.
  func metric(_ name: String) throws -> Double? {
    try get("/metrics").split(separator: "\n").first { $0.hasPrefix(name + " ") }?.split(separator: " ").last
      .flatMap { Double($0) }
  }

  /// Asks until it is so. Each question is a turn of the daemon's loop; the child in between lets others run.
  func eventually(_ isSo: () throws -> Bool) throws {
    let deadline = Date.now + 300
    // Until it listens it gives no answer.
    while !((try? isSo()) ?? false) {
      if Date.now > deadline { throw TestFailure("it is never so; the daemon said: \(said)") }
      _ = Machine.canRun("true")
    }
  }

  /// Ends it as a service manager does.
  func terminate() throws -> ChildProcess.Outcome {
    process.send(SIGTERM)
    return try process.finish()
  }

  func kill() throws {
    process.send(SIGKILL)
    _ = try process.finish()
  }
}

func object(_ text: some StringProtocol) throws -> [String: Any] {
  try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
}

/// A child with a name that no other test's child has.
func child(named name: String) throws -> FDFactory {
  let child = try FDFactory()
  try child.name(Array(name.utf8))
  return child
}

/// One that opens an eventfd every 50 ms and closes none, for a minute and a half: what has ended before the daemon had a
/// turn to see it would be no leak any more, and on a busy machine it may have to wait for its turns.
func leakingChild(named name: String) throws -> FDFactory {
  let child = try child(named: name)
  try child.limit(soft: 2000)
  try child.startLeak(of: "eventfd", every: .milliseconds(50), count: 1900)
  return child
}
