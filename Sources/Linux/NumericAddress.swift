// SPDX-License-Identifier: Apache-2.0
// Internet addresses as numbers, and those of names. See inet_pton(3), getaddrinfo(3).

import CLinux
import Glibc

extension Host {
  /// Whether a text is a numeric address of the Internet, of version 4 or 6.
  package static func isAddress(_ text: String, version6: Bool) -> Bool {
    address(text, version6: version6) != nil
  }

  /// The four or sixteen bytes of a numeric address. Of version 4 only four decimal numbers are one.
  package static func address(_ text: String, version6: Bool) -> [UInt8]? {
    // A zero byte would end the text for inet_pton(3), and not for whoever compares it.
    guard text.utf8.allSatisfy({ $0 != 0 }) else { return nil }
    var address = [UInt8](repeating: 0, count: version6 ? 16 : 4)
    return unsafe inet_pton(version6 ? AF_INET6 : AF_INET, text, &address) == 1 ? address : nil
  }

  /// The text of four or sixteen bytes.
  package static func text(ofAddress bytes: [UInt8]) -> String? {
    guard bytes.count == 4 || bytes.count == 16 else { return nil }
    var text = [CChar](repeating: 0, count: 46)
    let family = bytes.count == 4 ? AF_INET : AF_INET6
    guard unsafe inet_ntop(family, bytes, &text, socklen_t(text.count)) != nil else { return nil }
    return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// The addresses of a name, as texts; none if it has none. This may ask a server, and wait for it.
  package static func addresses(ofName name: String) -> [String] {
    let size = 46
    var texts = [CChar](repeating: 0, count: 8 * size)
    let count = unsafe texts.withUnsafeMutableBytes { buffer in
      guard let base = buffer.baseAddress else { return 0 as CInt }
      return unsafe fdwatch_resolve(name, base, 8)
    }
    return (0..<max(0, Int(count))).map { index in
      String(
        decoding: texts[(index * size)..<((index + 1) * size)].prefix { $0 != 0 }.map(UInt8.init(bitPattern:)),
        as: UTF8.self)
    }
  }
}
