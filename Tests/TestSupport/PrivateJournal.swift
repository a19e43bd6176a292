// SPDX-License-Identifier: Apache-2.0
// A real journald for one test, by Tests/bed/journald.sh, and what it got.

import Foundation

/// A journald that only the commands see that are started by its ``launcher``. It ends with this object.
package final class PrivateJournal {
  private let server: ChildProcess
  private let pid: Int32

  private static let script = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../bed/journald.sh").standardized.path

  /// Why none can be had here; `nil` if one can.
  package static let obstacle: String? = {
    do {
      let check = try ChildProcess(["bash", script, "check"]).finish()
      return check.status == .exited(0) ? nil : check.errors
    } catch {
      return "\(error)"
    }
  }()

  /// For `.enabled(if:_:)`.
  package static var isUsable: Bool { obstacle == nil }

  /// - Parameter catalogs: message catalogs that `journalctl -x` explains entries by.
  package init(catalogs: [String] = []) throws {
    // A shell holds the namespace until its input is closed.
    let holder = ["sh", "-c", "echo $$; read end || :"]
    server = try ChildProcess(["bash", Self.script, "run"] + catalogs.map { "--catalog=\($0)" } + ["--"] + holder)
    guard let line = try server.readLine(), let pid = Int32(line) else {
      throw TestFailure("no journald: \(try server.finish().errors)")
    }
    self.pid = pid
  }

  /// Goes before a command and runs it where this journald is.
  package var launcher: [String] {
    let user = Machine.isRoot ? [] : ["--user", "--preserve-credentials"]
    return ["nsenter", "--target", "\(pid)", "--mount"] + user + ["--wd=."]
  }

  /// Its files, as they can be reached from here.
  package var directory: String { "/proc/\(pid)/root/run/log/journal" }

  /// What `journalctl` prints of all that has been sent until now.
  package func read(_ arguments: [String] = []) throws -> String {
    // Entries are written by another process: without this some may still be on their way.
    let sync = try run(["journalctl", "--sync"])
    guard sync.status == .exited(0) else { throw TestFailure("journalctl --sync: \(sync.errors)") }
    let result = try run(["journalctl", "--no-pager", "--quiet"] + arguments)
    // It ends with 1 when nothing matches.
    guard result.errors.isEmpty else { throw TestFailure("journalctl: \(result.errors)") }
    return result.output
  }

  /// The entries that match, oldest first.
  /// - Parameter matches: as journalctl takes them, `FIELD=VALUE`, or its options.
  package func entries(_ matches: [String]) throws -> [JournalRecord] {
    // Without --all, fields over 4 KiB are left out.
    try read(["--output=json", "--all"] + matches).split(separator: "\n").map { try JournalRecord(json: $0) }
  }

  private func run(_ command: [String]) throws -> ChildProcess.Outcome {
    let child = try ChildProcess(launcher + command)
    child.closeInput()
    return try child.finish()
  }
}

/// One entry as `journalctl --output=json` prints it.
package struct JournalRecord: Sendable {
  /// The values of each field, as bytes: a field may occur several times, and may be no text.
  package let bytes: [String: [[UInt8]]]

  /// All fields that a sender may set, as text: those that journald adds begin with an underscore.
  package var sent: [String: String] {
    bytes.filter { !$0.key.hasPrefix("_") }.mapValues { String(decoding: $0.first ?? [], as: UTF8.self) }
  }

  package subscript(name: String) -> String? { bytes[name]?.first.map { String(decoding: $0, as: UTF8.self) } }

  init(json: Substring) throws {
    bytes = try JSONDecoder().decode([String: Values].self, from: Data(json.utf8)).mapValues(\.all)
  }

  /// Text is a string, what is not printable an array of numbers, and a repeated field an array of these.
  private struct Values: Decodable {
    var all: [[UInt8]]

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let one = try? container.decode(Value.self) {
        all = [one.bytes]
      } else {
        all = try container.decode([Value].self).map(\.bytes)
      }
    }
  }

  private struct Value: Decodable {
    var bytes: [UInt8]

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let text = try? container.decode(String.self) {
        bytes = Array(text.utf8)
      } else {
        bytes = try container.decode([UInt8].self)
      }
    }
  }
}
