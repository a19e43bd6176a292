// SPDX-License-Identifier: Apache-2.0
// Files and folders of our own: state, evidence, configuration.

import CLinux
import Glibc

package enum Files {
  /// The bytes of a regular file, without waiting for anything.
  package static func read(_ path: String, limit: Int) throws(SystemCallError) -> [UInt8] {
    try Descriptor(regularFile: path).contents(limit: limit)
  }

  /// Writes a file as a whole: who reads it finds the old or the new one, also if we are killed. See rename(2).
  /// - Parameter isDurable: it is on the disk when this returns, which may take long. What is of no use after the machine
  ///   has gone down need not be.
  package static func replace(
    _ path: String, with bytes: [UInt8], mode: UInt32 = 0o600, isDurable: Bool = false
  ) throws(SystemCallError) {
    try replace(path, mode: mode, isDurable: isDurable) { (file) throws(SystemCallError) in try file.write(bytes) }
  }

  /// The same piece by piece, for what is not to be in memory at once.
  package static func replace(
    _ path: String, mode: UInt32 = 0o600, isDurable: Bool = false,
    writing body: (borrowing Descriptor) throws(SystemCallError) -> Void
  ) throws(SystemCallError) {
    let new = path + ".new"
    do {
      try write(to: new, mode: mode, isDurable: isDurable, body)
      _ = try retrying("rename") { unsafe rename(new, path) }
    } catch {
      // A half of it would take the place that is wanted.
      unsafe unlink(new)
      throw error
    }
  }

  private static func write(
    to path: String, mode: UInt32, isDurable: Bool, _ body: (borrowing Descriptor) throws(SystemCallError) -> Void
  ) throws(SystemCallError) {
    // The folder may belong to somebody else, who could have put a link or a pipe there.
    unsafe unlink(path)
    let file = Descriptor(owning: try retrying("open") { unsafe fdwatch_create_new(path) })
    let number = file.number
    if mode != 0o600 { _ = try retrying("fchmod") { fchmod(number, mode) } }
    try body(file)
    if isDurable { _ = try retrying("fdatasync") { fdatasync(number) } }
  }

  /// Makes a folder, and those above it. One that is there already is fine.
  package static func makeFolder(_ path: String, mode: UInt32 = 0o700) throws(SystemCallError) {
    if unsafe mkdir(path, mode) == 0 || errno == EEXIST { return }
    guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else { throw .last("mkdir") }
    try makeFolder(String(path[..<slash]), mode: mode)
    if unsafe mkdir(path, mode) != 0, errno != EEXIST { throw .last("mkdir") }
  }

  package enum Executable: Sendable {
    case ready, missing, notExecutable
  }

  /// Whether a path can be executed, by us. See access(2).
  package static func executable(_ path: String) -> Executable {
    do throws(SystemCallError) {
      guard try Descriptor(path: path).state().type == .regular else { return .notExecutable }
    } catch {
      return error.meaning == .notPermitted ? .notExecutable : .missing
    }
    return unsafe access(path, X_OK) == 0 ? .ready : .notExecutable
  }

  /// The names in a folder, sorted; none where it cannot be read.
  package static func names(in folder: String) -> [String] { (try? Descriptor.names(in: folder))?.sorted() ?? [] }

  package static func remove(_ path: String) { unsafe unlink(path) }

  /// Removes a folder and the files in it.
  package static func removeFolder(_ path: String) {
    for name in names(in: path) { unsafe unlink("\(path)/\(name)") }
    unsafe rmdir(path)
  }
}

extension Descriptor {
  /// Writes all bytes to a file.
  package func write(_ bytes: [UInt8]) throws(SystemCallError) {
    let number = number
    var written = 0
    while written < bytes.count {
      written += try retrying("write") {
        unsafe bytes.withUnsafeBytes {
          unsafe Glibc.write(number, $0.baseAddress?.advanced(by: written), bytes.count - written)
        }
      }
    }
  }
}
