// SPDX-License-Identifier: Apache-2.0
// A descriptor of our own, and what it is used for: looking things up in a directory, reading small files.

import CLinux
import Glibc

/// A descriptor of this process. It has one owner and is closed with it.
package struct Descriptor: ~Copyable, Sendable {
  /// The number. Valid for as long as the owner lives.
  package let number: CInt

  /// Takes over an open descriptor.
  package init(owning number: CInt) { self.number = number }

  deinit { close(number) }

  /// Gives the descriptor away, to who closes it.
  package consuming func release() -> CInt {
    let number = number
    discard self
    return number
  }

  /// A handle of a file or directory for look-ups only (`O_PATH`): nothing is opened, so nothing blocks or acts.
  package init(path: String, in directory: borrowing Descriptor) throws(SystemCallError) {
    self = try Descriptor(path, in: directory.number, flags: fdwatch_O_PATH)
  }

  package init(path: String) throws(SystemCallError) {
    self = try Descriptor(path, in: AT_FDCWD, flags: fdwatch_O_PATH)
  }

  /// Opens a file or directory for reading. For files of procfs and of our own only: any other may block.
  package init(reading path: String, in directory: borrowing Descriptor) throws(SystemCallError) {
    self = try Descriptor(path, in: directory.number, flags: O_RDONLY)
  }

  package init(reading path: String) throws(SystemCallError) {
    self = try Descriptor(path, in: AT_FDCWD, flags: O_RDONLY)
  }

  /// Opens a file for reading that somebody else may have put there: a regular one only, and without waiting for
  /// anything.
  package init(regularFile path: String, followingLinks: Bool = true) throws(SystemCallError) {
    let flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | (followingLinks ? 0 : O_NOFOLLOW)
    // A device acts when it is opened: what it is comes first.
    if try Descriptor(path, in: AT_FDCWD, flags: fdwatch_O_PATH | (followingLinks ? 0 : O_NOFOLLOW)).state().type
      != .regular
    {
      throw SystemCallError("open", errno: ENOTSUP)
    }
    let found = try Descriptor(path, in: AT_FDCWD, flags: flags)
    if try found.state().type != .regular { throw SystemCallError("open", errno: ENOTSUP) }
    self = found
  }

  private init(_ path: String, in directory: CInt, flags: CInt) throws(SystemCallError) {
    number = try retrying("openat") { unsafe openat(directory, path, flags | O_CLOEXEC) }
  }
}

extension Descriptor {
  /// The `st_size` of what lies under a name.
  package func size(of name: String) throws(SystemCallError) -> Int {
    var found = stat()
    _ = try retrying("fstatat") { unsafe fstatat(number, name, &found, 0) }
    return Int(found.st_size)
  }

  /// The `st_size` of what the descriptor refers to.
  package func size() throws(SystemCallError) -> Int {
    var found = stat()
    _ = try retrying("fstat") { unsafe fstat(number, &found) }
    return Int(found.st_size)
  }

  /// What a descriptor refers to: enough to tell whether a file is still as it was.
  package struct FileState: Sendable, Equatable {
    package var type: FileType
    package var owner: UInt32
    package var inode: UInt64
    package var size: Int
    package var modified: Timestamp
  }

  package func state() throws(SystemCallError) -> FileState {
    var found = stat()
    _ = try retrying("fstat") { unsafe fstat(number, &found) }
    return FileState(
      type: FileType(mode: found.st_mode), owner: found.st_uid,
      inode: UInt64(found.st_ino), size: Int(found.st_size),
      modified: Timestamp(seconds: Int64(found.st_mtim.tv_sec), nanoseconds: Int64(found.st_mtim.tv_nsec)))
  }

  /// Whether it lies on a procfs, and not on a copy of one.
  package var isOnProcfs: Bool { fdwatch_is_procfs(number) != 0 }

  /// The text of a link, or `nil` if there is none of that name any more.
  package func link(_ name: String) throws(SystemCallError) -> String? {
    var text = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = unsafe readlinkat(number, name, &text, text.count)
    if count < 0 {
      if errno == ENOENT { return nil }
      throw .last("readlinkat")
    }
    return String(decoding: text.prefix(count).lazy.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// Type and inode of what a name leads to, from the kernel's caches: a server that is away is not asked.
  package func node(_ name: String) throws(SystemCallError) -> (type: FileType, inode: UInt64) {
    var mode: UInt32 = 0
    var inode: UInt64 = 0
    _ = try retrying("statx") { unsafe fdwatch_stat_cached(number, name, &mode, &inode) }
    return (FileType(mode: mode), inode)
  }

  /// All bytes of a small file, such as those of procfs.
  ///
  /// - Throws: `EFBIG` where there are more than `limit` bytes: never a shorter answer.
  package func contents(of name: String, limit: Int) throws(SystemCallError) -> [UInt8] {
    try Descriptor(reading: name, in: self).contents(limit: limit)
  }

  /// At most so many bytes from here on: fewer only at the end.
  package func beginning(_ limit: Int) throws(SystemCallError) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < limit, try bytes.append(upTo: limit - bytes.count, from: self) > 0 {}
    return bytes
  }

  /// All bytes from here on.
  package func contents(limit: Int) throws(SystemCallError) -> [UInt8] {
    var bytes: [UInt8] = []
    var chunk = 4096
    while true {
      let got = try bytes.append(upTo: chunk, from: self)
      if got == 0 { return bytes }
      if bytes.count > limit { throw SystemCallError("read", errno: EFBIG) }
      // procfs fills what it is given: a larger buffer means fewer calls for a long table.
      chunk = min(chunk * 2, 1 << 20)
    }
  }
}

extension [UInt8] {
  /// Appends what one read(2) gives. Returns how many bytes that was, 0 at the end.
  fileprivate mutating func append(
    upTo limit: Int, from descriptor: borrowing Descriptor
  ) throws(SystemCallError) -> Int {
    let old = count
    append(contentsOf: [UInt8](repeating: 0, count: limit))
    let number = descriptor.number
    var got = 0
    do throws(SystemCallError) {
      got = try retrying("read") {
        unsafe withUnsafeMutableBytes { unsafe read(number, $0.baseAddress?.advanced(by: old), limit) }
      }
    } catch {
      removeLast(limit)
      throw error
    }
    removeLast(limit - got)
    return got
  }
}

/// What an inode is. See inode(7).
package enum FileType: Sendable {
  case regular, directory, character, block, fifo, socket, link, other

  init(mode: UInt32) {
    self =
      switch mode & 0o170000 {
      case 0o100000: .regular
      case 0o040000: .directory
      case 0o020000: .character
      case 0o060000: .block
      case 0o010000: .fifo
      case 0o140000: .socket
      case 0o120000: .link
      default: .other
      }
  }
}

extension String {
  /// The bytes as text. Strangers choose names: what is not UTF-8 becomes U+FFFD.
  package init(repairing bytes: Span<UInt8>) {
    self = unsafe bytes.withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) }
  }
}
