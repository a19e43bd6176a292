// SPDX-License-Identifier: Apache-2.0
// Files that may be compressed, through zlib's gz functions: they read plain files, too. See zlib.h.

import CZlib
import Glibc

/// A file open for reading or writing. It has one owner and is closed with it.
@safe
struct GzipFile: ~Copyable {
  /// `nil` once it is closed.
  private var file: gzFile?
  private let path: String

  private static let bufferSize: UInt32 = 256 << 10

  init(reading path: String) throws(TraceError) {
    unsafe file = try Self.open(path, mode: "rbe")
    self.path = path
  }

  /// Level 6, and close-on-exec.
  init(writing path: String) throws(TraceError) {
    unsafe file = try Self.open(path, mode: "wb6e")
    self.path = path
  }

  private static func open(_ path: String, mode: String) throws(TraceError) -> gzFile {
    guard let file = unsafe gzopen(path, mode) else {
      throw .cannotOpen(file: path, reason: unsafe String(cString: strerror(errno)))
    }
    unsafe gzbuffer(file, bufferSize)
    return unsafe file
  }

  // zlib takes NULL for no file.
  deinit { unsafe gzclose(file) }

  /// Writes what is left, and says if that failed.
  mutating func close() throws(TraceError) {
    guard unsafe file != nil else { return }
    let code = unsafe gzclose(file)
    unsafe file = nil
    if code != Z_OK {
      let reason = code == Z_ERRNO ? unsafe String(cString: strerror(errno)) : "the end could not be written"
      throw .cannotWrite(file: path, reason: reason)
    }
  }

  /// Appends some bytes. Returns how many, 0 at the end.
  /// - Parameter line: the last line that was read whole, for errors.
  func read(into bytes: inout [UInt8], line: Int) throws(TraceError) -> Int {
    let old = bytes.count
    let room = Int(Self.bufferSize)
    bytes.append(contentsOf: [UInt8](repeating: 0, count: room))
    let got = unsafe bytes.withUnsafeMutableBytes {
      unsafe Int(gzread(file, $0.baseAddress?.advanced(by: old), Self.bufferSize))
    }
    bytes.removeLast(room - max(got, 0))
    if got < room {
      // A stream that was cut off gives all that it holds, and then says so.
      let (code, reason) = problem
      if code == Z_BUF_ERROR, got <= 0 { throw .truncated(file: path, line: line + 1) }
      if got < 0 { throw .corrupt(file: path, line: line, reason: reason) }
    }
    return got
  }

  func write(_ text: String) throws(TraceError) {
    var text = text
    let (done, wanted) = text.withUTF8 { unsafe (gzwrite(file, $0.baseAddress, UInt32($0.count)), $0.count) }
    if Int(done) != wanted { throw .cannotWrite(file: path, reason: problem.reason) }
  }

  /// Brings everything to the file, so that what is there can be read should the writer be killed.
  func flush() throws(TraceError) {
    if unsafe gzflush(file, Z_SYNC_FLUSH) != Z_OK { throw .cannotWrite(file: path, reason: problem.reason) }
  }

  private var problem: (code: CInt, reason: String) {
    var code: CInt = 0
    guard let text = unsafe gzerror(file, &code) else { return (code, "unknown") }
    if code == Z_ERRNO { return (code, unsafe String(cString: strerror(errno))) }
    return (code, unsafe String(cString: text))
  }
}
