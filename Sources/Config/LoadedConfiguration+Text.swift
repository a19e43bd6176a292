// SPDX-License-Identifier: Apache-2.0
// The merged result as one file, each value with where it came from.

import Descriptors

extension LoadedConfiguration {
  /// TOML that gives the same configuration, each line with its origin behind it.
  package var toml: String {
    var lines: [String] = []
    var table = ""
    for setting in origins {
      let (header, key) = Self.split(setting.key)
      if header.name != table {
        table = header.name
        lines += ["", header.line]
      }
      lines.append("\(key) = \(setting.value)  # \(setting.origin.printable)")
    }
    return lines.map { $0 + "\n" }.joined()
  }

  /// A JSON object: what was read, and a line for each setting.
  package var json: String {
    let settings = origins.map {
      "{\"key\":\(TOMLText.quoted($0.key)),\"value\":\($0.value),\"origin\":\(TOMLText.quoted($0.origin))}"
    }
    let files = files.map(TOMLText.quoted).joined(separator: ",")
    return "{\"schema\":1,\"files\":[\(files)],\"settings\":[\n\(settings.joined(separator: ",\n"))\n]}\n"
  }

  /// The table that a key stands in, and its name there.
  private static func split(_ key: String) -> (header: (name: String, line: String), key: String) {
    for list in ["ignore", "watch", "hook"] where key.hasPrefix(list + "[") {
      let end = key.firstIndex(of: ".") ?? key.endIndex
      // Labels of a rule keep their dot: they are written within it.
      return ((String(key[..<end]), "[[\(list)]]"), String(key[end...].dropFirst()))
    }
    // Of a label only the first part is the table's.
    let depth = key.hasPrefix("profiles.limits.") ? 2 : 1
    let parts = key.split(separator: ".", maxSplits: depth)
    guard parts.count > 1 else { return (("", ""), key) }
    let table = parts.dropLast().joined(separator: ".")
    return ((table, "[\(table)]"), String(parts[parts.count - 1]))
  }
}
