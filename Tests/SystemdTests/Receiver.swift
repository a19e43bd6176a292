// SPDX-License-Identifier: Apache-2.0
// A socket of the test's own that stands for the manager's, or for journald's.

import Glibc
import Linux

/// A datagram socket, and what came in.
final class Receiver {
  let path: String
  let number: CInt

  init(path: String) throws {
    self.path = path
    number = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
    let bound = unsafe withUnsafePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard bound == 0 else { throw SystemCallError("bind", errno: errno) }
  }

  deinit { close(number) }

  /// All that is there.
  var messages: [String] {
    var found: [String] = []
    var bytes = [UInt8](repeating: 0, count: 4096)
    while true {
      let got = unsafe recv(number, &bytes, bytes.count, CInt(MSG_DONTWAIT))
      if got < 0 { return found }
      found.append(String(decoding: bytes.prefix(got), as: UTF8.self))
    }
  }
}
