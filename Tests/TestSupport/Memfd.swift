// SPDX-License-Identifier: Apache-2.0
// A memfd of the tests' own, with whatever is wanted in it.

import CTestSupport
import Glibc
import Linux

/// A sealed memfd, mapped for writing, closed with this object.
@safe
package final class Memfd {
  package let number: CInt
  package let size: Int
  private let memory: UnsafeMutableRawPointer

  /// F_SEAL_SHRINK and F_SEAL_GROW.
  package static let sealed: CInt = 6

  package init(words: [UInt64], size: Int? = nil, seals: CInt = Memfd.sealed, name: String = "leakprofile") throws {
    self.size = size ?? words.count * 8
    number = unsafe support_memfd(name, UInt(self.size), seals)
    guard number >= 0 else { throw SystemCallError("memfd_create", errno: errno) }
    let mapped = unsafe mmap(nil, max(self.size, 1), PROT_READ | PROT_WRITE, MAP_SHARED, number, 0)
    guard let mapped = unsafe mapped, unsafe mapped != MAP_FAILED else { throw SystemCallError("mmap", errno: errno) }
    unsafe memory = mapped
    write(words, at: 0)
  }

  package func write(_ words: [UInt64], at place: Int) {
    let bytes = min(words.count * 8, size - place * 8)
    unsafe words.withUnsafeBytes {
      guard let from = $0.baseAddress else { return }
      unsafe (memory + place * 8).copyMemory(from: from, byteCount: bytes)
    }
  }

  deinit {
    unsafe munmap(memory, max(size, 1))
    close(number)
  }
}
