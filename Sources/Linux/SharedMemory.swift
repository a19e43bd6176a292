// SPDX-License-Identifier: Apache-2.0
// A memfd of another process, read by pread(2).

import CLinux
import Glibc

/// A file of another process's memory that cannot change its size; what is in it may change at any time.
///
/// It is read by copies and never mapped: what its owner never wrote then costs no memory, neither theirs nor ours, and
/// nothing that the owner does to it can end us by SIGBUS.
package struct SharedMemory: ~Copyable {
  /// In bytes; a multiple of 8.
  package let size: Int
  package let file: Descriptor

  /// Why a descriptor of another process is not read.
  package enum Refusal: Error, Equatable {
    /// A directory, a device, or a file on a disk: nothing that is opened at all.
    case isNoMemory
    case canChangeSize
    case size(Int)
    case failed(SystemCallError)
  }

  /// Opens what `path`, a name in `/proc/<pid>/fd`, leads to.
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
    self = try SharedMemory(checked: file, sizes: sizes)
  }

  /// Takes over one that was opened and checked by somebody else.
  package init(checked file: consuming Descriptor, sizes: ClosedRange<Int>) throws(Refusal) {
    var size = 0
    do throws(SystemCallError) { size = try file.size() } catch { throw .failed(error) }
    guard sizes.contains(size), size % 8 == 0 else { throw .size(size) }
    self.size = size
    self.file = file
  }

  private static let noMemory = SystemCallError("open", errno: ENOTSUP)

  /// A copy of `count` words from a place that is a multiple of 8. Each word is of one moment, but not all of the same.
  package func words(at place: Int, count: Int) throws(SystemCallError) -> [UInt64] {
    var copy = [UInt64](repeating: 0, count: count)
    try read(&copy, at: place)
    return copy
  }

  /// Fills `words` from a place that is a multiple of 8.
  package func read(_ words: inout [UInt64], at place: Int) throws(SystemCallError) {
    precondition(place >= 0 && place % 8 == 0 && place <= size && words.count <= (size - place) / 8)
    let (total, number) = (words.count * 8, file.number)
    var done = 0
    while done < total {
      let got = try retrying("pread") {
        unsafe words.withUnsafeMutableBytes {
          unsafe pread(number, $0.baseAddress?.advanced(by: done), total - done, off_t(place + done))
        }
      }
      // Sealed, it has no end before its size.
      if got == 0 { throw SystemCallError("pread", errno: EIO) }
      done += got
    }
  }
}
