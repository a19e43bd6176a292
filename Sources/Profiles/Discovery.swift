// SPDX-License-Identifier: Apache-2.0
// Finding a Go program's profiles among its own listening sockets, where that was asked for.

/// A socket on which the process takes connections.
package struct Listener: Sendable, Hashable {
  package var inode: UInt64
  /// `address:port`, `[address]:port`, the path of a UNIX socket, or `@name` of an abstract one.
  package var address: String
  package var isUnix: Bool

  package init(inode: UInt64, address: String, isUnix: Bool) {
    (self.inode, self.address, self.isUnix) = (inode, address, isUnix)
  }

  /// Where to ask it, as the process sees it. `nil` for a path that depends on where the process was when it bound it.
  func address(_ target: String) -> ProfileAddress? {
    if isUnix {
      guard address.hasPrefix("/") || address.hasPrefix("@") else { return nil }
      return ProfileAddress(.unix(path: address, target: target))
    }
    guard let colon = address.lastIndex(of: ":") else { return nil }
    let host = address[..<colon]
    // Bound to any address: the loopback one is the process's own for sure.
    let own = host == "0.0.0.0" || host == "[::]" ? "127.0.0.1" : String(host)
    return ProfileAddress(.tcp(url: "http://\(own)\(address[colon...])\(target)"))
  }
}

extension ProfileAddress {
  /// Whether one of these sockets is what it names.
  package func isServed(by listeners: Set<Listener>) -> Bool {
    switch place {
    case .file: return true
    case .unix(let path, _):
      return listeners.contains { $0.isUnix && $0.address == path }
    case .tcp(let url):
      let authority = url.drop { $0 != "/" }.dropFirst(2).prefix { $0 != "/" && $0 != "?" }
      guard !authority.contains("@"), let colon = authority.lastIndex(of: ":"), !authority.hasSuffix("]") else {
        return false
      }
      let host = authority[..<colon] == "localhost" ? "127.0.0.1" : authority[..<colon]
      guard host == "[::1]" || host.hasPrefix("127.") else {
        return listeners.contains { !$0.isUnix && $0.address == authority }
      }
      return listeners.contains {
        !$0.isUnix
          && ($0.address == "\(host)\(authority[colon...])" || $0.address == "0.0.0.0\(authority[colon...])"
            || $0.address == "[::]\(authority[colon...])")
      }
    }
  }
}

/// The page that lists Go's profiles: `Index` of net/http/pprof/pprof.go.
enum PprofIndex {
  /// A name that no profile has: asking for it costs nothing, and only Go's handler answers with its header.
  static let impossible = "/debug/pprof/fdwatch-asks-whether-this-is-pprof"

  /// Profiles that every Go program has, or that are no counts.
  private static let builtin: Set<String> = [
    "allocs", "block", "cmdline", "goroutine", "goroutineleak", "heap", "mutex", "profile", "symbol", "threadcreate",
    "trace",
  ]

  /// Names with their counts, as `<td>COUNT</td><td><a href='NAME?debug=1'>` lists them.
  static func profiles(in page: [UInt8]) -> [(name: String, count: Int)] {
    var found: [(name: String, count: Int)] = []
    for row in String(decoding: page.prefix(1 << 20), as: UTF8.self).split(separator: "<tr>").prefix(1000) {
      guard
        let count = row.ranges(of: "<td>").first.map({ row[$0.upperBound...].prefix { $0 != "<" } }).flatMap({ Int($0) }
        ),
        let link = row.ranges(of: "href=").first
      else { continue }
      let name = row[link.upperBound...].drop { $0 == "'" || $0 == "\"" }.prefix { !"'\"?> ".contains($0) }
      if !name.isEmpty, name.allSatisfy({ $0.isASCII && !$0.isWhitespace }) { found.append((String(name), count)) }
    }
    return found
  }

  /// Those that may count descriptors: by their name, or by a number that fits.
  /// - Parameter open: descriptors that the process has.
  static func counting(_ profiles: [(name: String, count: Int)], open: Int) -> [String] {
    let words = ["file", "fd", "conn", "sock", "handle", "descriptor", "pipe", "listener"]
    return profiles.filter { profile in
      if builtin.contains(profile.name) { return false }
      let name = profile.name.lowercased()
      return words.contains(where: name.contains) || (profile.count * 4 >= open && profile.count <= open * 3 / 2)
    }.prefix(4).map(\.name)
  }
}
