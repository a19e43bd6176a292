// SPDX-License-Identifier: Apache-2.0
// Where a profile is: as people write it, and as it is asked for.

/// An address of a profile.
///
/// `http://127.0.0.1:6060/debug/pprof/file`, `https://…`, `unix:/run/app.sock:/debug/pprof/file` (or with a blank, or
/// `http+unix://%2Frun%2Fapp.sock/debug/pprof/file`), `unix:@name:/debug/pprof/file` for an abstract socket, and the path or
/// glob of a file. `{pid}` stands for the process's number. A path that ends with a slash is that of Go's index: of what it
/// lists, the profiles that count descriptors are taken.
package struct ProfileAddress: Sendable, Hashable {
  package enum Place: Sendable, Hashable {
    case tcp(HTTPEndpoint, target: String)
    /// - path: of the socket, or `@name` of an abstract one; target: what is asked for.
    case unix(path: String, target: String)
    case file(glob: String)
  }

  package var place: Place

  package init(_ place: Place) { self.place = place }

  package init(parsing text: String, pid: Int32) throws(ProfileError) {
    let text = text.replacing("{pid}", with: String(pid))
    if text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7f }) {
      throw .unknownSource(text, reason: "it holds control characters")
    }
    if text.hasPrefix("http://") || text.hasPrefix("https://") {
      do {
        let (endpoint, target) = try HTTPEndpoint.parse(text)
        place = .tcp(endpoint, target: target)
      } catch {
        throw .unknownSource(text, reason: error.reason)
      }
    } else if text.hasPrefix("unix:") {
      place = try Self.unix(String(text.dropFirst(5)), text)
    } else if text.hasPrefix("http+unix://") {
      let parts = text.dropFirst(12).split(separator: "/", maxSplits: 1)
      guard let socket = parts.first.flatMap({ Self.unescaped($0) }), socket.hasPrefix("/") else {
        throw .unknownSource(text, reason: "the socket's path is written as in http+unix://%2Frun%2Fapp.sock/path")
      }
      place = .unix(path: socket, target: parts.count > 1 ? "/" + parts[1] : "/debug/pprof/")
    } else if text.hasPrefix("/") || text.hasPrefix("file:/") {
      place = .file(glob: text.hasPrefix("/") ? text : "/" + text.dropFirst(5).drop { $0 == "/" })
    } else {
      throw .unknownSource(text, reason: "it begins with none of http://, https://, unix:/, unix:@ and /")
    }
    guard case .unix(let path, let target) = place else { return }
    if path.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7f }) {
      throw .unknownSource(text, reason: "the socket's path holds control characters")
    }
    do { try HTTPEndpoint.check(target: target) } catch { throw .unknownSource(text, reason: error.reason) }
  }

  /// `/run/app.sock`, `/run/app.sock:/target` or `/run/app.sock /target`; `@name` instead of a path is an abstract socket.
  private static func unix(_ rest: String, _ text: String) throws(ProfileError) -> Place {
    let rest = rest.drop { $0 == "/" }
    let end = rest.ranges(of: ":/").first?.lowerBound ?? rest.firstIndex(of: " ") ?? rest.endIndex
    let socket = rest.hasPrefix("@") ? String(rest[..<end]) : "/" + rest[..<end]
    let target = rest[end...].drop { $0 == ":" || $0 == " " }
    guard socket.count > 1, target.isEmpty || target.hasPrefix("/") else {
      throw .unknownSource(text, reason: "a socket is written as in unix:/run/app.sock:/debug/pprof/file")
    }
    return .unix(path: socket, target: target.isEmpty ? "/debug/pprof/" : String(target))
  }

  private static func unescaped(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      if byte != UInt8(ascii: "%") {
        bytes.append(byte)
        continue
      }
      guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
        return nil
      }
      bytes.append(value)
      rest.removeFirst(2)
    }
    return String(validating: bytes, as: UTF8.self)
  }
}

extension ProfileAddress {
  /// What is asked for, without a query.
  private var target: Substring {
    switch place {
    case .tcp(_, let target), .unix(_, let target): target.prefix { $0 != "?" }
    case .file(let glob): glob[...]
    }
  }

  /// Reached through a network, and so only in our own.
  var isOfNetwork: Bool {
    switch place {
    case .tcp: true
    case .unix(let path, _): path.hasPrefix("@")
    case .file: false
    }
  }

  var isEncrypted: Bool {
    if case .tcp(let endpoint, _) = place { endpoint.isEncrypted } else { false }
  }

  /// Where a request for it goes, if its path is one of ours.
  func destination(of pid: Int32) -> Destination {
    switch place {
    case .tcp(let endpoint, _): Destination(place: .tcp(endpoint.host, port: endpoint.port), pid: pid)
    case .unix(let path, _) where path.hasPrefix("@"):
      // An abstract name is of the network namespace, and not of the file system.
      Destination(place: .abstract(name: String(path.dropFirst())), pid: pid)
    case .unix(let path, _), .file(let path): Destination(place: .unix(path: path, root: nil), pid: pid)
    }
  }

  /// The page that lists profiles, and not a profile.
  package var isIndex: Bool {
    if case .file = place { return false }
    return target.hasSuffix("/")
  }

  /// As its process calls it: what follows `/debug/pprof/`, or the last part of its path.
  package var profileName: String {
    if let range = target.ranges(of: "/pprof/").last { return String(target[range.upperBound...]) }
    return target.split(separator: "/").last.map(String.init) ?? "profile"
  }

  /// Another one of the same server: `goroutine` beside `file`. `nil` where there is no place for it, or where the name,
  /// which may be a server's, cannot stand in a request.
  package func sibling(_ name: String) -> ProfileAddress? {
    let base: Substring
    if let range = target.ranges(of: "/pprof/").last {
      base = target[..<range.upperBound]
    } else if isIndex {
      base = target
    } else {
      return nil
    }
    guard (try? HTTPEndpoint.check(target: base + name)) != nil else { return nil }
    switch place {
    case .tcp(let endpoint, _): return ProfileAddress(.tcp(endpoint, target: base + name))
    case .unix(let path, _): return ProfileAddress(.unix(path: path, target: base + name))
    case .file: return nil
    }
  }
}

extension ProfileAddress: CustomStringConvertible {
  package var description: String {
    switch place {
    case .tcp(let endpoint, let target): "\(endpoint)\(target)"
    case .unix(let path, let target): "unix:\(path):\(target)"
    case .file(let glob): glob
    }
  }
}
