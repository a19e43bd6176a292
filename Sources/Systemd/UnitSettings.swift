// SPDX-License-Identifier: Apache-2.0
// What the owner of a service says to fdwatch in its unit: the section [X-Fdwatch]. systemd passes over sections that begin
// with X- and leaves them to others. See systemd.unit(5), whose order of folders and rules of drop-ins these are.

import Linux

/// `Profile=` (repeatable), `ProfileHeader=` (repeatable), `ProfileTokenFile=`, `ProfileCA=`, `Discover=`.
package struct UnitSettings: Sendable, Equatable {
  package var profiles: [String] = []
  package var headers: [String] = []
  package var tokenFile: String?
  package var caFile: String?
  package var discover = false

  private static let folders = [
    "/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
    "/lib/systemd/system",
  ]
  /// Unit files are short.
  private static let longest = 1 << 20

  /// - Parameter root: of the system whose units they are.
  package init(of unit: String, root: String = "") {
    guard !unit.contains("/") else { return }
    // An instance has the file of its template, and drop-ins of both.
    let at = unit.firstIndex(of: "@")
    let dot = unit.lastIndex(of: ".")
    var names = [unit]
    if let at, let dot, at < dot { names.append(unit[...at] + String(unit[dot...])) }
    let files = names.lazy.flatMap { name in Self.folders.map { "\(root)\($0)/\(name)" } }
    if let text = files.compactMap({ Self.contents($0) }).first { read(text) }
    for dropIn in Self.dropIns(of: names, root: root) {
      if let text = Self.contents(dropIn) { read(text) }
    }
  }

  /// By file name across all folders; of two of one name the first folder's counts.
  private static func dropIns(of names: [String], root: String) -> [String] {
    var found: [String: String] = [:]
    for name in names {
      for folder in folders {
        let place = "\(root)\(folder)/\(name).d"
        for file in Files.names(in: place) where file.hasSuffix(".conf") && found[file] == nil {
          found[file] = "\(place)/\(file)"
        }
      }
    }
    return found.sorted { $0.key < $1.key }.map(\.value)
  }

  private static func contents(_ path: String) -> String? {
    (try? Files.read(path, limit: longest)).map { String(decoding: $0, as: UTF8.self) }
  }

  /// An empty value takes back what came before, as everywhere in units.
  private mutating func read(_ text: String) {
    var isOurs = false
    for line in text.split(whereSeparator: \.isNewline) {
      let line = line.trimmed
      if line.hasPrefix("[") { isOurs = line == "[X-Fdwatch]" }
      guard isOurs, !line.hasPrefix("#"), !line.hasPrefix(";"), let equals = line.firstIndex(of: "=") else { continue }
      let value = String(line[line.index(after: equals)...].trimmed)
      switch line[..<equals].trimmed {
      case "Profile": profiles = value.isEmpty ? [] : profiles + [value]
      case "ProfileHeader": headers = value.isEmpty ? [] : headers + [value]
      case "ProfileTokenFile": tokenFile = value.isEmpty ? nil : value
      case "ProfileCA": caFile = value.isEmpty ? nil : value
      case "Discover": discover = ["1", "yes", "y", "true", "t", "on"].contains(value.lowercased())
      default: break
      }
    }
  }
}

extension Substring {
  fileprivate var trimmed: Substring {
    var text = self
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return text
  }
}
