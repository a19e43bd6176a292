// SPDX-License-Identifier: Apache-2.0
// The one parser of URLs: what it finds is what is checked, and what is connected to.

import Linux

/// A numeric address of the Internet.
package struct IPAddress: Sendable, Hashable, CustomStringConvertible {
  /// Four, or sixteen.
  package let bytes: [UInt8]

  /// Of version 4 only four decimal numbers are one: `127.1` and `0x7f000001` are not.
  package init?(_ text: String) {
    guard let bytes = Host.address(text, version6: text.contains(":")) else { return nil }
    self.bytes = bytes
  }

  static let loopback4 = IPAddress(bytes: [127, 0, 0, 1])
  static let loopback6 = IPAddress(bytes: [UInt8](repeating: 0, count: 15) + [1])
  private init(bytes: [UInt8]) { self.bytes = bytes }

  var isVersion6: Bool { bytes.count == 16 }
  var isLoopback: Bool { isVersion6 ? self == .loopback6 : bytes[0] == 127 }
  /// Stands for all addresses, where a socket is bound to it.
  var isWildcard: Bool { bytes.allSatisfy { $0 == 0 } }
  /// An address of version 4 in the form of version 6: the kernel takes it for the former.
  var isMapped: Bool { isVersion6 && bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xff && bytes[11] == 0xff }

  package var description: String { Host.text(ofAddress: bytes) ?? "" }
}

/// Scheme, host and port of a URL.
package struct HTTPEndpoint: Sendable, Hashable {
  package enum Host: Sendable, Hashable {
    case address(IPAddress)
    /// The loopback, of either version.
    case localhost
    /// To be looked up, in lower case.
    case name(String)
  }

  package var isEncrypted = false
  package var host: Host
  package var port: UInt16
}

extension HTTPEndpoint {
  /// What is wrong with a URL, in words that follow it.
  struct Mistake: Error {
    var reason: String
    init(_ reason: String) { self.reason = reason }
  }

  /// Takes a URL apart: `http://HOST[:PORT][/TARGET]`, and nothing else. No user, no fragment, nothing escaped in the host.
  static func parse(_ url: String) throws(Mistake) -> (endpoint: HTTPEndpoint, target: String) {
    let isEncrypted = url.hasPrefix("https://")
    guard isEncrypted || url.hasPrefix("http://") else { throw Mistake("it begins with neither http:// nor https://") }
    let rest = url.dropFirst(isEncrypted ? 8 : 7)
    if let mistake = mistake(in: rest) { throw mistake }
    let authority = rest.prefix { $0 != "/" }
    var endpoint = try parse(authority: authority, defaultPort: isEncrypted ? 443 : 80)
    endpoint.isEncrypted = isEncrypted
    let target = rest.dropFirst(authority.count)
    return (endpoint, target.isEmpty ? "/debug/pprof/" : String(target))
  }

  /// A target of a request, such as `/debug/pprof/file?debug=1`.
  static func check(target: some StringProtocol) throws(Mistake) {
    guard target.hasPrefix("/") else { throw Mistake("what is asked for begins with a slash") }
    if let mistake = mistake(in: target) { throw mistake }
  }

  /// What two parsers of URLs might read differently is in none.
  private static func mistake(in text: some StringProtocol) -> Mistake? {
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "#"): return Mistake("it has a fragment (#), which is never sent to a server")
      case UInt8(ascii: "\\"): return Mistake("it has a backslash; write %5C")
      case 0x21...0x7e: continue
      case 0x80...: return Mistake("it has characters outside ASCII; write them as %XX")
      default: return Mistake("it has blanks or control characters")
      }
    }
    return nil
  }

  /// `HOST`, `HOST:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`.
  static func parse(authority: some StringProtocol, defaultPort: UInt16?) throws(Mistake) -> HTTPEndpoint {
    if authority.isEmpty { throw Mistake("it names no host") }
    if authority.contains("@") { throw Mistake("it names a user; --profile-header gives an Authorization") }
    let host: Host
    let rest: String
    if authority.hasPrefix("[") {
      guard let end = authority.firstIndex(of: "]") else { throw Mistake("a bracket is not closed") }
      let text = String(authority[authority.index(after: authority.startIndex)..<end])
      guard text.contains(":"), let address = IPAddress(text) else {
        throw Mistake("[\(text)] is not an IPv6 address")
      }
      if address.isMapped { throw Mistake("[\(text)] is an IPv4 address; write it as one") }
      host = .address(address)
      rest = String(authority[authority.index(after: end)...])
    } else {
      let name = authority.prefix { $0 != ":" }
      host = try Self.host(String(name))
      rest = String(authority[name.endIndex...])
    }
    return HTTPEndpoint(host: host, port: try port(rest, defaultPort))
  }

  private static func host(_ text: String) throws(Mistake) -> Host {
    if text == "localhost" { return .localhost }
    if let address = IPAddress(text) { return .address(address) }
    let labels = text.split(separator: ".", omittingEmptySubsequences: false)
    let isName = labels.allSatisfy { label in
      !label.isEmpty && label.utf8.count <= 63
        && label.utf8.allSatisfy { byte in
          switch byte {
          case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
          default: false
          }
        }
    }
    guard isName, text.utf8.count <= 253, let last = labels.last else { throw Mistake("\"\(text)\" is not a host") }
    // The C library reads "127.1", "0x7f000001" and "2130706433" as addresses.
    if last.first?.isNumber == true, last.allSatisfy(\.isNumber) || last.lowercased().hasPrefix("0x") {
      throw Mistake("\"\(text)\" is not an address; write its four numbers")
    }
    return .name(text.lowercased())
  }

  /// What follows a host: nothing, or a colon and a number.
  private static func port(_ text: String, _ defaultPort: UInt16?) throws(Mistake) -> UInt16 {
    if text.isEmpty, let defaultPort { return defaultPort }
    let digits = text.dropFirst()
    guard text.hasPrefix(":"), digits.utf8.count <= 5, digits.utf8.first != UInt8(ascii: "0"),
      digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let port = UInt16(digits)
    else { throw Mistake("its port is not a number from 1 to 65535") }
    return port
  }
}

extension HTTPEndpoint: CustomStringConvertible {
  /// As in a URL: without the port that is usual for the scheme.
  package var description: String {
    let name =
      switch host {
      case .address(let address): address.isVersion6 ? "[\(address)]" : "\(address)"
      case .localhost: "localhost"
      case .name(let name): name
      }
    let isUsual = port == (isEncrypted ? 443 : 80)
    return "\(isEncrypted ? "https" : "http")://\(name)\(isUsual ? "" : ":\(port)")"
  }
}
