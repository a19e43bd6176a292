// SPDX-License-Identifier: Apache-2.0
// A socket that takes datagrams, as fdwatch's for reports.

import Glibc

/// What stands in for fdwatch.
package struct DatagramSocket: ~Copyable {
  private let number: CInt

  package init(path: String) throws {
    number = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
    let size = socklen_t(MemoryLayout<sockaddr_un>.size)
    let number = number
    let result = unsafe withUnsafePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(number, $0, size) }
    }
    guard result == 0 else { throw TestFailure("no socket at \(path): \(errno)") }
  }

  package func receive() throws -> String {
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = unsafe recv(number, &bytes, bytes.count, 0)
    guard count > 0 else { throw TestFailure("nothing came: \(errno)") }
    return String(decoding: bytes[..<count], as: UTF8.self)
  }

  deinit { close(number) }
}
