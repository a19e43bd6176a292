// SPDX-License-Identifier: Apache-2.0
// Why procfs gave no answer. "Cannot see" is a case of its own, never a 0.

import Descriptors
import Linux

/// Why a file of a process gave no answer.
package enum ProcfsError: Error, Equatable, CustomStringConvertible {
  /// The process has exited. Ordinary: it went on running meanwhile.
  case gone
  /// The process has exited and waits for its parent to take notice. Its descriptors are closed.
  case zombie
  /// The kernel does not let us read it. `missing` is what would: empty where we hold all that is known to help.
  case denied(file: String, missing: [Capability])
  case failed(file: String, SystemCallError)
  /// It has more open than a census may take in: see ``CensusLimit``.
  case tooManyDescriptors(Int)
  /// What the kernel wrote is not what proc(5) says.
  case malformed(file: String, line: String)

  package init(_ error: SystemCallError, file: String) {
    switch error.meaning {
    case .noSuchEntry: self = .gone
    case .notPermitted: self = .denied(file: file, missing: Capability.reading.filter { !Host.has($0) })
    case .noDescriptors, .other: self = .failed(file: file, error)
    }
  }

  package var description: String {
    switch self {
    case .gone: "the process has exited"
    case .zombie: "the process has exited; its parent has not collected it yet"
    case .denied(let file, let missing) where missing.isEmpty: "may not read \(file)"
    case .denied(let file, let missing):
      "may not read \(file): needs \(missing.map(\.name).joined(separator: " and "))"
    case .failed(let file, let error): "cannot read \(file): \(error.reason)"
    case .tooManyDescriptors(let count): "it has more than \(count) descriptors open, too many to look at each"
    case .malformed(let file, let line): "cannot understand \(file): \"\(line.printable)\""
    }
  }
}
