// SPDX-License-Identifier: Apache-2.0
// Directories whose entries are numbers: /proc itself, fd/, fdinfo/ and task/ of a process.

import CLinux
import Glibc

/// An open directory of numbered entries, with one buffer for all calls.
///
/// This is the path that runs for every descriptor of every census, so it forms no strings: a name is written into the
/// buffer as digits, and what comes back is handed out as bytes.
@safe package struct NumberedDirectory: ~Copyable {
  private let directory: Descriptor
  private let base: UnsafeMutableRawPointer
  private var buffer: UnsafeMutableRawBufferPointer { unsafe .init(start: base, count: Self.bufferSize) }

  /// Larger than any link (`PATH_MAX`), and some 1,300 entries of a directory a call.
  private static let bufferSize = 32 << 10

  private static let tooLong: [UInt8] = Array("/...".utf8)

  package init(_ name: String, in parent: borrowing Descriptor) throws(SystemCallError) {
    directory = try Descriptor(reading: name, in: parent)
    unsafe base = .allocate(byteCount: Self.bufferSize, alignment: 16)
  }

  deinit { unsafe base.deallocate() }

  /// The numbers of all entries, appended in the order that the kernel lists them: ascending in `fd/`.
  ///
  /// Entries that are not numbers are passed over. May be called again: it starts anew.
  /// - Parameter most: it stops where more are found, a buffer later at most. The kernel keeps 0.9 KiB for each entry that it
  ///   has listed, and charges them to us.
  package func list(into numbers: inout [Int32], most: Int = .max) throws(SystemCallError) {
    if lseek(directory.number, 0, SEEK_SET) != 0 { throw .last("lseek") }
    while true {
      let filled = try retrying("getdents64") {
        unsafe fdwatch_getdents64(directory.number, base, Self.bufferSize)
      }
      if filled == 0 || numbers.count > most { return }
      // struct linux_dirent64 of getdents(2): ino 8, off 8, reclen 2, type 1, name.
      var offset = 0
      while offset + 19 < filled {
        let length = unsafe Int(buffer.loadUnaligned(fromByteOffset: offset + 16, as: UInt16.self))
        let name = unsafe Span<UInt8>(_unsafeBytes: buffer[(offset + 19)..<min(offset + max(length, 20), filled)])
        if let number = Self.number(in: name) { numbers.append(number) }
        offset += max(length, 20)
      }
    }
  }

  /// The digits up to the closing zero byte, or `nil` where there is anything else.
  private static func number(in name: Span<UInt8>) -> Int32? {
    var value: Int32 = 0
    var digits = 0
    for index in name.indices {
      let byte = name[index]
      if byte == 0 { break }
      guard byte >= 48, byte <= 57, digits < 10 else { return nil }
      let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = tens.addingReportingOverflow(Int32(byte) - 48)
      if overflow || carry { return nil }
      value = sum
      digits += 1
    }
    return digits > 0 ? value : nil
  }

  /// Hands out the text of a link, valid during the call, or returns `nil` if the entry is gone.
  ///
  /// The kernel tells no path of more than 4,095 bytes (`PATH_MAX`); a process reaches one from within. It then reads
  /// `/...` and is a path all the same.
  package func withLink<Result>(
    _ number: Int32, _ body: (Span<UInt8>) -> Result
  ) throws(SystemCallError) -> Result? {
    let name = unsafe write(number)
    let text = unsafe base.advanced(by: 16).assumingMemoryBound(to: CChar.self)
    let count = unsafe readlinkat(directory.number, name, text, Self.bufferSize - 16)
    if count < 0 {
      if errno == ENAMETOOLONG { return body(Self.tooLong.span) }
      return try nilIfGone(.last("readlinkat"))
    }
    return unsafe body(Span(_unsafeBytes: buffer[16..<(16 + count)]))
  }

  /// Hands out the contents of a small file, valid during the call, or returns `nil` if the entry is gone.
  ///
  /// - Throws: `EFBIG` where it is longer than the buffer: read it with ``contents(_:limit:)``.
  package func withFile<Result>(
    _ number: Int32, _ body: (Span<UInt8>) -> Result
  ) throws(SystemCallError) -> Result? {
    let name = unsafe write(number)
    let file = unsafe openat(directory.number, name, O_RDONLY | O_CLOEXEC)
    if file < 0 {
      return try nilIfGone(.last("openat"))
    }
    let opened = Descriptor(owning: file)
    // procfs gives a small file in one read: what leaves room in the buffer was all.
    var filled = 0
    repeat {
      filled = unsafe read(opened.number, base, Self.bufferSize)
    } while filled < 0 && errno == EINTR
    if filled < 0 { return try nilIfGone(.last("read")) }
    if filled == Self.bufferSize { throw SystemCallError("read", errno: EFBIG) }
    return unsafe body(Span(_unsafeBytes: buffer[..<filled]))
  }

  /// All bytes of a file of any length, or `nil` if the entry is gone.
  package func contents(_ number: Int32, limit: Int) throws(SystemCallError) -> [UInt8]? {
    do {
      return try directory.contents(of: String(number), limit: limit)
    } catch {
      return try nilIfGone(error)
    }
  }

  /// The permissions of a link itself, or `nil` if the entry is gone: in `fd/` they are the access mode of the descriptor.
  package func linkMode(_ number: Int32) throws(SystemCallError) -> UInt32? {
    var found = stat()
    let name = unsafe write(number)
    if unsafe fstatat(directory.number, name, &found, AT_SYMLINK_NOFOLLOW) != 0 {
      return try nilIfGone(.last("fstatat"))
    }
    return found.st_mode
  }

  /// Type and inode of what a link leads to. See ``Descriptor/node(_:)``.
  package func node(_ number: Int32) throws(SystemCallError) -> (type: FileType, inode: UInt64) {
    try directory.node(String(number))
  }

  /// Writes a number as a C string into the buffer's first 16 bytes.
  private func write(_ number: Int32) -> UnsafePointer<CChar> {
    var value = number.magnitude
    var start = 15
    unsafe buffer[start] = 0
    repeat {
      start -= 1
      unsafe buffer[start] = UInt8(48 + value % 10)
      value /= 10
    } while value > 0
    return unsafe UnsafePointer(base.advanced(by: start).assumingMemoryBound(to: CChar.self))
  }
}

/// An entry that went away between two calls is no error.
private func nilIfGone<Result>(_ error: SystemCallError) throws(SystemCallError) -> Result? {
  if error.meaning == .noSuchEntry { return nil }
  throw error
}
