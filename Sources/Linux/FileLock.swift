// SPDX-License-Identifier: Apache-2.0
// One of us per folder. See fcntl(2), "Advisory record locking".

import CLinux

/// A lock that ends with the process that holds it, however it ends: there is no stale one.
package final class FileLock: Sendable {
  private let file: Descriptor

  /// Why there is none.
  package enum Failure: Error, Equatable {
    /// Another process holds it; by the kernel's word, not by what stands in a file. `nil` where we cannot see it.
    case held(by: Int32?)
    case failed(SystemCallError)
  }

  /// - Parameter path: of a file for this alone. It is made if need be, and stays.
  package init(_ path: String) throws(Failure) {
    var holder: CInt = 0
    let number = unsafe fdwatch_lock_file(path, &holder)
    if number < 0 {
      let error = SystemCallError.last("fcntl")
      throw error.isHeldByAnother ? .held(by: holder > 0 ? holder : nil) : .failed(error)
    }
    file = Descriptor(owning: number)
  }
}
