// SPDX-License-Identifier: Apache-2.0
// Names by pattern, as glob(7) has them, with an end: a pattern such as `/*/../*/..` names a disk many times over.

import Glibc

package enum Glob {
  package struct Failure: Error, Equatable {
    package var reason: String
  }

  /// Entries of folders that are looked at, and paths that are found.
  private static let mostEntries = 100_000
  private static let mostPaths = 1000
  private static let longest = Duration.seconds(2)

  /// Whether it means more than one file, or may.
  package static func isPattern(_ text: String) -> Bool { text.contains { "*?[\\".contains($0) } }

  /// The paths that a pattern names, sorted. Folders that cannot be read are passed over.
  package static func paths(_ pattern: String) throws(Failure) -> [String] {
    var found = [pattern.hasPrefix("/") ? "/" : ""]
    var entries = 0
    let deadline = Instant.now + longest
    let parts = pattern.split(separator: "/")
    for (place, part) in parts.enumerated() {
      var next: [String] = []
      for folder in found {
        guard isPattern(String(part)) else {
          next.append(folder + part)
          continue
        }
        for name in (try? Descriptor.names(in: folder.isEmpty ? "." : folder)) ?? [] {
          entries += 1
          // As fnmatch(3) with FNM_PERIOD: what is hidden is named only by who names its dot.
          if unsafe fnmatch(String(part), name, FNM_PERIOD) == 0 { next.append(folder + name) }
        }
        if entries > mostEntries { throw Failure(reason: "the pattern looks at more than \(mostEntries) files") }
        if next.count > mostPaths { throw Failure(reason: "the pattern names more than \(mostPaths) files") }
        if Instant.now > deadline { throw Failure(reason: "the pattern takes longer than \(longest) to look up") }
      }
      let isLast = place == parts.count - 1
      found = isLast ? next : next.map { $0 + "/" }
    }
    return found.filter { (try? Descriptor(path: $0)) != nil }.sorted()
  }
}
