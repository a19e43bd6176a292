// SPDX-License-Identifier: Apache-2.0
// The first line of a trace: docs/trace-format.md.

import Descriptors

/// What a trace says of the process and of the watch.
package struct TraceHeader: Sendable, Equatable {
  package static let version = 1
  static let format = "fdwatch-trace"

  package var command: String
  package var pid: Int32
  /// Nominal time between two polls.
  package var interval: Duration
  /// Wall-clock time of t = 0, RFC 3339.
  package var start: String
  /// `RLIMIT_NOFILE` at the start.
  package var limits: Limits?

  package init(command: String, pid: Int32, interval: Duration, start: String, limits: Limits?) {
    self.command = command
    self.pid = pid
    self.interval = interval
    self.start = start
    self.limits = limits
  }

  var json: String {
    var object = JSONObject()
    object.add("format", Self.format)
    object.add("version", Self.version)
    object.add("comm", command)
    object.add("pid", pid)
    object.add("interval", interval / .seconds(1))
    object.add("start", start)
    if let limits {
      object.add("soft_limit", limits.soft)
      object.add("hard_limit", limits.hard)
    }
    return object.line
  }

  init(_ line: ArraySlice<UInt8>, file: String) throws(TraceError) {
    var format: String?
    var version = 0
    var command = ""
    var pid: Int32 = 0
    var interval = 0.0
    var start = ""
    var soft: UInt64?
    var hard: UInt64?
    var scanner = JSONScanner(line)
    do throws(JSONError) {
      try scanner.object { (scanner, key) throws(JSONError) in
        switch key {
        case "format": format = try scanner.string()
        case "version": version = try scanner.integer()
        case "comm": command = try scanner.string()
        case "pid": pid = try scanner.integer()
        case "interval": interval = try scanner.number()
        case "start": start = try scanner.string()
        case "soft_limit": if !scanner.null() { soft = try scanner.integer() }
        case "hard_limit": if !scanner.null() { hard = try scanner.integer() }
        default: try scanner.skip()
        }
      }
      try scanner.end()
    } catch {
      throw .foreign(file: file, reason: error.what)
    }
    guard format == Self.format else { throw .foreign(file: file, reason: "no \"format\":\"\(Self.format)\"") }
    guard version == Self.version else { throw .otherVersion(file: file, version: version) }
    self.init(
      command: command, pid: pid, interval: Duration(clampingSeconds: max(0, min(interval, 1e9))), start: start,
      limits: soft.map { Limits(soft: $0, hard: hard ?? $0) })
  }
}
