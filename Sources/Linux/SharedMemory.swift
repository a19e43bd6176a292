// SPDX-License-Identifier: Apache-2.0
// A memfd of another process, mapped for reading.

import CLinux
import Glibc

/// A file of another process's memory, as long as it is mapped. It is known not to change its size, so that to read it
/// cannot end us by SIGBUS; what is in it may change at any time.
@safe
package struct SharedMemory: ~Copyable {
  /// In bytes; a multiple of 8.
  package let size: Int
  private let memory: UnsafeRawPointer

  /// Why a descriptor of another process is not mapped.
  package enum Refusal: Error, Equatable {
    /// A directory, a device, or a file on a disk: nothing that is opened at all.
    case isNoMemory
    /// Who can shrink it can end who reads it.
    case canChangeSize
    case size(Int)
    case failed(SystemCallError)
  }

  /// Maps what `path`, a name in `/proc/<pid>/fd`, leads to.
  ///
  /// The one thing that is opened of what a watched process has open. So what it is comes first, and it is that very
  /// file that is then opened, whatever the name stands for by then.
  /// - Parameter sizes: which sizes are taken.
  package init(path: String, sizes: ClosedRange<Int>) throws(Refusal) {
    let file: Descriptor
    do throws(SystemCallError) {
      let handle = try Descriptor(path: path)
      guard try handle.state().type == .regular, fdwatch_is_tmpfs(handle.number) != 0 else { throw Self.noMemory }
      file = try Descriptor(regularFile: "/proc/self/fd/\(handle.number)")
    } catch { throw error == Self.noMemory ? .isNoMemory : .failed(error) }
    let seals = fdwatch_seals(file.number)
    if seals < 0 { throw .isNoMemory }
    let wanted = fdwatch_F_SEAL_SHRINK | fdwatch_F_SEAL_GROW
    if seals & wanted != wanted { throw .canChangeSize }
    // Sealed, it stays what it is.
    var size = 0
    do throws(SystemCallError) { size = try file.size() } catch { throw .failed(error) }
    guard sizes.contains(size), size % 8 == 0 else { throw .size(size) }
    guard let mapped = unsafe fdwatch_map(file.number, size) else { throw .failed(.last("mmap")) }
    self.size = size
    unsafe memory = mapped
  }

  private static let noMemory = SystemCallError("open", errno: ENOTSUP)

  deinit { unsafe fdwatch_unmap(memory, size) }

  /// A copy of `count` words from a place that is a multiple of 8.
  package func words(at place: Int, count: Int) -> [UInt64] {
    check(place, count)
    return unsafe [UInt64](unsafeUninitializedCapacity: count) { copy, initialized in
      unsafe fdwatch_copy_words(memory + place, copy.baseAddress, count)
      initialized = count
    }
  }

  /// Copies records whose first word changes whenever another does: those that are new or have changed.
  /// - Returns: how many.
  package func update(_ copy: inout [UInt64], at place: Int, words: Int) -> Int {
    check(place, copy.count)
    let count = copy.count / words
    return unsafe copy.withUnsafeMutableBufferPointer {
      unsafe Int(fdwatch_copy_records(memory + place, $0.baseAddress, count, words))
    }
  }

  private func check(_ place: Int, _ count: Int) {
    precondition(place >= 0 && place % 8 == 0 && count >= 0 && place <= size && count <= (size - place) / 8)
  }
}
