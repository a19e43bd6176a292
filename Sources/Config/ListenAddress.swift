// SPDX-License-Identifier: Apache-2.0
// An address and a port to listen on.

import Linux

/// `127.0.0.1:9812`, `[::1]:9812`. A number and no name: nobody is to be asked when the daemon starts.
package struct ListenAddress: Sendable, Equatable {
  /// Without brackets.
  package var host: String
  package var port: UInt16

  package init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  package init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else {
      return nil
    }
    var host = text[..<colon]
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    if isBracketed { host = host.dropFirst().dropLast() }
    guard Host.isAddress(String(host), version6: isBracketed) else { return nil }
    self.init(host: String(host), port: port)
  }
}

extension ListenAddress: CustomStringConvertible {
  package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
