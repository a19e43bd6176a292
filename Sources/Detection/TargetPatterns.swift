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
  /// Bytes on the heap.
  private(set) var footprint = 0
  private static let budget = 4 << 10

  /// What a beginning takes: its name, its followers, its place among the others.
  private static func footprint(_ name: String, _ node: Node) -> Int {
    name.heapBytes + node.followers.heapBytes + 2 * (MemoryLayout<String>.stride + MemoryLayout<Node>.stride)
  }

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
      if footprint >= Self.budget { return (true, false) }
      let node = Node(followers: [hash])
      nodes[beginning] = node
      footprint += Self.footprint(beginning, node)
      return (false, false)
    }
    if node.varies { return (true, false) }
    if node.followers.contains(hash) { return (false, false) }
    let before = Self.footprint(beginning, node)
    node.followers.append(hash)
    if node.followers.count > limit {
      node.varies = true
      node.followers = []
    }
    nodes[beginning] = node
    footprint += Self.footprint(beginning, node) - before
    return (node.varies, node.varies)
  }

  /// FNV-1a (Fowler, Noll, Vo), the same in every run: replays and saved states depend on it.
  private static func hash(_ component: Substring) -> UInt32 {
    component.utf8.reduce(0x811c_9dc5) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
  }

  private mutating func forget(below beginning: String) {
    let prefix = beginning + "/"
    for (key, node) in nodes where key.hasPrefix(prefix) && !key.hasPrefix(prefix + "*") {
      nodes[key] = nil
      footprint -= Self.footprint(key, node)
    }
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

extension TargetPatterns: Storable {
  static let blank = TargetPatterns()

  private struct NamedNode: Storable {
    var name: String
    var node: Node

    static let blank = NamedNode(name: "", node: Node())

    mutating func store(_ archive: inout Archive) throws(SavedStateError) {
      try archive.field(&name)
      try archive.field(&node.followers)
      try archive.field(&node.varies)
    }
  }

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    var list = nodes.map { NamedNode(name: $0, node: $1) }.sorted { $0.name < $1.name }
    try archive.field(&list)
    nodes = Dictionary(list.map { ($0.name, $0.node) }) { first, _ in first }
    footprint = nodes.reduce(0) { $0 + Self.footprint($1.key, $1.value) }
  }
}
