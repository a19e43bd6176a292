// SPDX-License-Identifier: Apache-2.0
// Finding a Go program's profiles among its own listening sockets, where that was asked for.

/// A socket on which the process takes connections.
package struct Listener: Sendable, Hashable {
  package var inode: UInt64
  /// `address:port`, `[address]:port`, the path of a UNIX socket, or `@name` of an abstract one.
  package var address: String
  package var isUnix: Bool
  /// The process's descriptor of it: one of them, where it has several.
  package var descriptor: Int32

  package init(inode: UInt64, address: String, isUnix: Bool, descriptor: Int32 = -1) {
    (self.inode, self.address, self.isUnix, self.descriptor) = (inode, address, isUnix, descriptor)
  }

  /// Where to ask it, as the process sees it. `nil` for a path that depends on where the process was when it bound it.
  func address(_ target: String) -> ProfileAddress? {
    if isUnix {
      guard address.hasPrefix("/") || address.hasPrefix("@") else { return nil }
      return ProfileAddress(.unix(path: address, target: target))
    }
    guard var endpoint, case .address(let bound) = endpoint.host else { return nil }
    // Bound to any address: the loopback one is the process's own for sure.
    if bound.isWildcard { endpoint.host = .address(.loopback4) }
    return ProfileAddress(.tcp(endpoint, target: target))
  }

  /// Of a TCP socket.
  var endpoint: HTTPEndpoint? {
    isUnix ? nil : try? HTTPEndpoint.parse(authority: address, defaultPort: nil)
  }

  /// Whether the kernel may give it what comes in for an address of the Internet.
  fileprivate func takes(_ address: IPAddress, _ port: UInt16) -> Bool {
    guard let endpoint, endpoint.port == port, case .address(let bound) = endpoint.host else { return false }
    // A socket that is bound to any address of version 6 takes those of version 4, too, unless it was told not to:
    // what is connected to is looked at again once there is a connection.
    return bound == address || (bound.isWildcard && address.isLoopback && (bound.isVersion6 || !address.isVersion6))
  }
}

extension ProfileAddress {
  /// Which of these sockets are what it names, and, for TCP, under which numeric address. `nil` if none is.
  ///
  /// A host name is none of a process's own addresses, whatever it looks like; `localhost` is looked up nowhere.
  func served(by listeners: Set<Listener>) -> (address: IPAddress?, listeners: [Listener])? {
    switch place {
    case .file: return (nil, [])
    case .unix(let path, _):
      let found = listeners.filter { $0.isUnix && $0.address == path }
      return found.isEmpty ? nil : (nil, Array(found))
    case .tcp(let endpoint, _):
      let candidates: [IPAddress] =
        switch endpoint.host {
        case .address(let address): [address]
        case .localhost: [.loopback4, .loopback6]
        case .name: []
        }
      for address in candidates {
        let found = listeners.filter { $0.takes(address, endpoint.port) }
        if !found.isEmpty { return (address, Array(found)) }
      }
      return nil
    }
  }

  /// Whether one of these sockets is what it names.
  package func isServed(by listeners: Set<Listener>) -> Bool { served(by: listeners) != nil }
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
      if !name.isEmpty, name.allSatisfy({ $0.isASCII && !$0.isWhitespace }) {
        // The page is a stranger's. No process has more of anything that is open.
        found.append((String(name), min(max(count, 0), 1 << 32)))
      }
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
