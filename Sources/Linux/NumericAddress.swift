// SPDX-License-Identifier: Apache-2.0
// Internet addresses as numbers. See inet_pton(3).

import Glibc

extension Host {
  /// Whether a text is a numeric address of the Internet, of version 4 or 6.
  package static func isAddress(_ text: String, version6: Bool) -> Bool {
    var address = [UInt8](repeating: 0, count: 16)
    return unsafe inet_pton(version6 ? AF_INET6 : AF_INET, text, &address) == 1
  }
}
