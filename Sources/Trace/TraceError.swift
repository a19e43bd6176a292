// SPDX-License-Identifier: Apache-2.0
// What can be wrong with a trace, with the line where it is.

/// Why a trace could not be read or written.
package enum TraceError: Error, Equatable, CustomStringConvertible {
  case cannotOpen(file: String, reason: String)
  /// The first line is no header of ours.
  case foreign(file: String, reason: String)
  case otherVersion(file: String, version: Int)
  case malformed(file: String, line: Int, column: Int, reason: String)
  /// The file ends within a line or within the compressed data: a recording that was cut off.
  case truncated(file: String, line: Int)
  /// The compressed data is damaged.
  case corrupt(file: String, line: Int, reason: String)
  case tooLong(file: String, line: Int, limit: Int)
  case cannotWrite(file: String, reason: String)

  package var description: String {
    switch self {
    case .cannotOpen(let file, let reason): "\(file): cannot be opened: \(reason)"
    case .foreign(let file, let reason): "\(file): not a trace of fdwatch: line 1: \(reason)"
    case .otherVersion(let file, let version):
      "\(file): line 1: a trace of version \(version); this fdwatch reads version \(TraceHeader.version)"
    case .malformed(let file, let line, let column, let reason): "\(file):\(line):\(column): \(reason)"
    case .truncated(let file, let line): "\(file): line \(line): the file ends here, in the middle: it was cut off"
    case .corrupt(let file, let line, let reason):
      "\(file): behind line \(line): the compressed data is damaged: \(reason)"
    case .tooLong(let file, let line, let limit): "\(file): line \(line) is longer than \(limit) bytes"
    case .cannotWrite(let file, let reason): "\(file): cannot be written: \(reason)"
    }
  }
}
