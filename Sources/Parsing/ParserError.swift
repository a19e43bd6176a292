// SPDX-License-Identifier: Apache-2.0
// Why nothing was read, where the profile is not to blame, or only by what it did to its reader.

package enum ParserError: Error, Equatable, Sendable {
  /// There is no helper: what to do.
  case unavailable(String)
  /// The helper was ended in the midst of it: by a limit, or by what it read.
  case died(String)
  case timedOut
  /// The helper answered something else.
  case unintelligible
  /// So much waits already to be read for the same owner.
  case busy
  case failed(String)
}

extension ParserError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .unavailable(let advice): advice
    case .died(let how): "reading it ended the helper process (\(how))"
    case .timedOut: "reading it took longer than \(Parser.deadline.components.seconds) s"
    case .unintelligible: "the helper process gave no valid answer"
    case .busy: "too much of the same owner is waiting to be read"
    case .failed(let reason): "the helper process cannot be started: \(reason)"
    }
  }
}
