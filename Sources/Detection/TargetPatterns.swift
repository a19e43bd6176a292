// SPDX-License-Identifier: Apache-2.0
// What targets have in common: which parts of a path or an address vary is learned from those that are seen.

/// Learns which components of names vary, and turns a name into the pattern that it belongs to.
///
/// A name is a list of components, of a path or of an address and its port. Where more different components follow one
/// beginning than are usual for names that a person chose, they are held to be generated and become `*`. Memory is
/// bounded: a beginning that does not fit any more takes `*` at once.
struct TargetPatterns: Sendable {
  private struct Node: Sendable {
    /// Hashes of the components that followed.
    var followers: [UInt32] = []
    var varies = false
  }

  /// Beginnings, as the text of their pattern.
  private var nodes: [String: Node] = [:]
  private static let mostNodes = 96

  /// The pattern of a name, and the beginning whose followers were found to vary by this very name, if one was: the
  /// patterns that continue it have to be made anew.
  ///
  /// - Parameters:
  ///   - root: keeps names of different kinds apart.
  ///   - limit: how many followers are usual at a depth.
  mutating func pattern(
    root: String, components: [Substring], limit: (_ depth: Int) -> Int
  ) -> (pattern: String, newlyVarying: String?) {
    var pattern = root
    var newlyVarying: String?
    for (depth, component) in components.enumerated() {
      let (varies, isNew) = follow(pattern, component, limit: limit(depth))
      if isNew { newlyVarying = newlyVarying ?? pattern }
      pattern += varies ? "/*" : "/" + component
    }
    if let newlyVarying { forget(below: newlyVarying) }
    return (pattern, newlyVarying)
  }

  /// Notes a follower. Returns whether what follows the beginning varies, and whether that is news.
  private mutating func follow(_ beginning: String, _ component: Substring, limit: Int) -> (varies: Bool, isNew: Bool) {
    let hash = Self.hash(component)
    guard var node = nodes[beginning] else {
      if nodes.count >= Self.mostNodes { return (true, false) }
      nodes[beginning] = Node(followers: [hash])
      return (false, false)
    }
    if node.varies { return (true, false) }
    if node.followers.contains(hash) { return (false, false) }
    node.followers.append(hash)
    if node.followers.count > limit {
      node.varies = true
      node.followers = []
    }
    nodes[beginning] = node
    return (node.varies, node.varies)
  }

  /// FNV-1a (Fowler, Noll, Vo), the same in every run: replays and saved states depend on it.
  private static func hash(_ component: Substring) -> UInt32 {
    component.utf8.reduce(0x811c_9dc5) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
  }

  private mutating func forget(below beginning: String) {
    let prefix = beginning + "/"
    for key in nodes.keys where key.hasPrefix(prefix) && !key.hasPrefix(prefix + "*") { nodes[key] = nil }
  }

  /// What a pattern becomes once the followers of `beginning` vary; itself if it does not continue it.
  static func widened(_ pattern: String, below beginning: String) -> String {
    let prefix = beginning + "/"
    guard pattern.hasPrefix(prefix) else { return pattern }
    let rest = pattern.dropFirst(prefix.count)
    guard let slash = rest.firstIndex(of: "/") else {
      return prefix + "*" + (rest.hasSuffix(deletedMark) ? deletedMark : "")
    }
    return prefix + "*" + rest[slash...]
  }

  /// What the kernel appends to the path of a file that has no name any more. See proc(5).
  static let deletedMark = " (deleted)"
}
