// SPDX-License-Identifier: Apache-2.0
// Which runtime a process has, by what it has mapped.

import Descriptors

extension ProcessDirectory {
  /// Whether a garbage collector may close what the program dropped, as far as its mappings tell. See
  /// proc_pid_maps(5). Reading them takes the memory map's lock for a moment: ask once, and only of suspects.
  package func collector() throws(ProcfsError) -> Collector {
    var search = CollectorSearch()
    try readPieces(of: "maps", most: Self.longestMaps) { piece in
      search.take(piece)
      return search.found != .periodic
    }
    search.end()
    return search.found
  }

  /// With 65,530 mappings (vm.max_map_count) of files with long paths the text has some 280 MB. What is known of a runtime
  /// lies at the beginning, or among a few thousand libraries.
  private static let longestMaps = 16 << 20
}

extension Collector {
  /// Libraries, or executables that hold one, of runtimes whose collector closes files: the Java virtual machine, .NET
  /// (CoreCLR, Mono), Ruby, PyPy, Erlang, and whatever uses Boehm's collector.
  private static let runtimes = [
    "libjvm.so", "libcoreclr.so", "libmono", "libruby", "ruby", "libpypy", "pypy", "beam.smp", "libgc.so",
  ]

  /// - Parameter maps: the text of `/proc/<pid>/maps`.
  package init(maps: [UInt8]) {
    var search = CollectorSearch()
    search.take(maps)
    search.end()
    self = search.found
  }

  /// What one line tells.
  fileprivate init(mapping line: ArraySlice<UInt8>) {
    // Go's first arena: `arenaBaseOffset` and the hints of mallocinit in runtime/malloc.go, on all 64-bit machines.
    if line.starts(with: "c000000000-".utf8) || line.starts(with: "4000000000-".utf8), Self.isAnonymous(line) {
      self = .periodic
      return
    }
    let name = line[((line.lastIndex(of: UInt8(ascii: "/")) ?? line.endIndex - 1) + 1)...]
    self = Self.runtimes.contains { name.starts(with: $0.utf8) } ? .onDemand : .none
  }

  /// No file behind it: inode 0. Kernels that name anonymous mappings may add one in brackets.
  private static func isAnonymous(_ line: ArraySlice<UInt8>) -> Bool {
    let fields = words(line)
    return fields.count >= 5 && fields[4].elementsEqual("0".utf8)
  }
}

/// Looks through mappings that come piece by piece, and keeps no more than a line of them.
struct CollectorSearch {
  private(set) var found = Collector.none
  private var line: [UInt8] = []
  /// A path has 4,095 bytes, of which the kernel escapes some: of what is longer the end is kept, where the name is.
  private static let longestLine = 16 << 10

  mutating func take(_ piece: [UInt8]) {
    var start = 0
    while found != .periodic, let end = piece[start...].firstIndex(of: UInt8(ascii: "\n")) {
      line += piece[start..<end]
      self.end()
      start = end + 1
    }
    line += piece[start...]
    if line.count > Self.longestLine { line.removeFirst(line.count - Self.longestLine) }
  }

  /// The last line may have no end.
  mutating func end() {
    defer { line.removeAll(keepingCapacity: true) }
    if line.isEmpty || found == .periodic { return }
    let told = Collector(mapping: line[...])
    if told != .none { found = told }
  }
}
