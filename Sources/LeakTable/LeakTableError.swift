// SPDX-License-Identifier: Apache-2.0
// Why a table gave no answer.

import Linux

package enum LeakTableError: Error, Equatable {
  /// The process has exited, or closed it. Ordinary.
  case gone
  case denied
  /// What has the name of a table is none: a file of another kind, or one that its owner may still shrink.
  case isNoTable(reason: String)
  /// It does not begin as a table does: perhaps not yet.
  case hasNoMagic
  case version(UInt32)
  /// Another process's: one that was forked without the library's knowing.
  case belongs(toPid: UInt32)
  case damaged(String)
  case tooLarge(String)
  case failed(SystemCallError)
}

extension LeakTableError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .gone: "it is there no more"
    case .denied: "it may not be read"
    case .isNoTable(let reason): "it is no table of leakprofile: \(reason)"
    case .hasNoMagic: "it does not begin as a table of leakprofile does"
    case .version(let version): "its version is \(version), and only 1 is known"
    case .belongs(let pid): "it belongs to process \(pid), its parent"
    case .damaged(let what): "it is damaged: \(what)"
    case .tooLarge(let what): "it is too large: \(what)"
    case .failed(let error): "\(error)"
    }
  }
}

extension LeakTableError {
  init(_ refusal: SharedMemory.Refusal) {
    self =
      switch refusal {
      case .isNoMemory: .isNoTable(reason: "not a memfd")
      case .canChangeSize: .isNoTable(reason: "its size is not sealed")
      case .size(let size): .isNoTable(reason: "it has \(size) bytes")
      case .failed(let error):
        switch error.meaning {
        case .noSuchEntry: .gone
        case .notPermitted: .denied
        case .noDescriptors, .other: .failed(error)
        }
      }
  }
}
