// SPDX-License-Identifier: Apache-2.0
// Why there is no profile of a process.

import Parsing
import Pprof

package enum ProfileError: Error, Equatable {
  /// What was written is no source.
  case unknownSource(String, reason: String)
  /// There is no libcurl, or it cannot be used.
  case noHTTP(reason: String)
  case refused(source: String, reason: String)
  /// The process named it, or was found to listen there, and something else answers: nothing was sent.
  case foreign(source: String, reason: String)
  /// It takes connections and does not answer them: as a process does that has no descriptor left to accept with.
  case silent(source: String)
  case slow(source: String, bytes: Int)
  case cutOff(source: String)
  case tooLarge(source: String, most: Int)
  /// Given up in favour of smaller ones, as all together took too much memory.
  case givenUp(source: String, budget: Int)
  case redirected(source: String, location: String)
  case status(source: String, Int)
  case failed(source: String, reason: String)
  case unreadable(source: String, PprofError)
  case cannotOpen(file: String, reason: String)
  /// The profile is there, and its reader is not, or gave up.
  case notRead(source: String, ParserError)
}

extension ProfileError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .unknownSource(let text, let reason): "\"\(text)\" is no source of profiles: \(reason)"
    case .noHTTP(let reason): "profiles cannot be fetched by HTTP: \(reason)"
    case .refused(let source, let reason): "\(source) takes no connection: \(reason)"
    case .foreign(let source, let reason): "\(source) is not asked: \(reason)"
    case .silent(let source):
      "\(source) accepts but does not answer: the process hangs, or has no descriptor left to accept with"
    case .slow(let source, let bytes): "\(source) gave \(bytes) bytes and did not come to an end in time"
    case .cutOff(let source): "\(source) ended the connection within its answer"
    case .tooLarge(let source, let most):
      "\(source) gave more than \(most) bytes; --profile-limit compressed=N allows more"
    case .givenUp(let source, let budget):
      "\(source) was given up: it is the largest of the profiles that are being fetched, which together exceed "
        + "\(budget >> 20) MiB; it is tried again"
    case .redirected(let source, let location): "\(source) redirects to \(location), which is not followed"
    case .status(let source, 404): "\(source): there is no such profile (404)"
    case .status(let source, let code) where code == 401 || code == 403:
      "\(source) asks for authorization (\(code)); --profile-header or --profile-token-file gives it"
    case .status(let source, let code): "\(source) answers with status \(code)"
    case .failed(let source, let reason): "\(source): \(reason)"
    case .unreadable(let source, let error): "\(source): \(error)"
    case .cannotOpen(let file, let reason): "\(file): \(reason)"
    case .notRead(let source, let error): "\(source): \(error)"
    }
  }
}
