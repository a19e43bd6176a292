// SPDX-License-Identifier: Apache-2.0
// Files of somebody else, opened only once it is known what they are.

import CLinux
import Glibc

extension Descriptor {
  /// Opens for reading what this is a handle of, if that is a regular file: a device acts when it is opened, a pipe waits.
  package func openingRegularFile() throws(SystemCallError) -> Descriptor {
    guard try state().type == .regular else { throw SystemCallError("open", errno: ENOTSUP) }
    // That very file, whatever its name stands for by now.
    return try Descriptor(regularFile: "/proc/self/fd/\(number)")
  }

  /// What tells a file from others, and who may read it.
  package struct Identity: Sendable, Equatable {
    package var major: UInt32
    package var minor: UInt32
    package var inode: UInt64
    package var owner: UInt32
    package var isReadableByAll: Bool
  }

  package func identity() throws(SystemCallError) -> Identity {
    var (mode, major, minor): (UInt32, UInt32, UInt32) = (0, 0, 0)
    let own = number
    _ = try retrying("fstat") { unsafe fdwatch_file_identity(own, &mode, &major, &minor) }
    let state = try state()
    return Identity(
      major: major, minor: minor, inode: state.inode, owner: state.owner, isReadableByAll: mode & 0o004 != 0)
  }

  /// Reads at a place, without moving: fewer bytes than asked for at the end only.
  package func bytes(at place: Int, upTo count: Int) throws(SystemCallError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let own = number
    var done = 0
    while done < count {
      let got = try retrying("pread") {
        unsafe bytes.withUnsafeMutableBytes {
          unsafe pread(own, $0.baseAddress?.advanced(by: done), count - done, off_t(place + done))
        }
      }
      if got == 0 { break }
      done += got
    }
    bytes.removeLast(count - done)
    return bytes
  }

  /// Another one of the same open file.
  package func duplicate() throws(SystemCallError) -> Descriptor {
    let own = number
    return Descriptor(owning: try retrying("dup") { dup(own) })
  }
}
