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
    case tcp(url: String)
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
      let rest = text.drop { $0 != "/" }.dropFirst(2)
      guard let host = rest.split(separator: "/", omittingEmptySubsequences: false).first, !host.isEmpty else {
        throw .unknownSource(text, reason: "it names no host")
      }
      place = .tcp(url: rest.contains("/") ? text : text + "/debug/pprof/")
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
    case .tcp(let url): url.drop { $0 != "/" }.dropFirst(2).drop { $0 != "/" }.prefix { $0 != "?" }
    case .unix(_, let target): target.prefix { $0 != "?" }
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

  /// Another one of the same server: `goroutine` beside `file`. `nil` where there is no place for it.
  package func sibling(_ name: String) -> ProfileAddress? {
    guard let range = target.ranges(of: "/pprof/").last else { return isIndex ? appending(name) : nil }
    let base = target[..<range.upperBound]
    switch place {
    case .tcp(let url):
      guard let start = url.ranges(of: base).first else { return nil }
      return ProfileAddress(.tcp(url: url[..<start.upperBound] + name))
    case .unix(let path, _): return ProfileAddress(.unix(path: path, target: base + name))
    case .file: return nil
    }
  }

  private func appending(_ name: String) -> ProfileAddress {
    switch place {
    case .tcp(let url): ProfileAddress(.tcp(url: url.prefix { $0 != "?" } + name))
    case .unix(let path, let target): ProfileAddress(.unix(path: path, target: target.prefix { $0 != "?" } + name))
    case .file: self
    }
  }
}

extension ProfileAddress: CustomStringConvertible {
  package var description: String {
    switch place {
    case .tcp(let url): url
    case .unix(let path, let target): "unix:\(path):\(target)"
    case .file(let glob): glob
    }
  }
}
