// SPDX-License-Identifier: Apache-2.0
// Which runtime a process has, by what it has mapped.

import Descriptors

extension ProcessDirectory {
  /// Whether a garbage collector may close what the program dropped, as far as its mappings tell. See
  /// proc_pid_maps(5). Reading them takes the memory map's lock for a moment: ask once, and only of suspects.
  package func collector() throws(ProcfsError) -> Collector {
    Collector(maps: try contents(of: "maps", limit: Self.longestFile))
  }
}

extension Collector {
  /// Libraries, or executables that hold one, of runtimes whose collector closes files: the Java virtual machine, .NET
  /// (CoreCLR, Mono), Ruby, PyPy, Erlang, and whatever uses Boehm's collector.
  private static let runtimes = [
    "libjvm.so", "libcoreclr.so", "libmono", "libruby", "ruby", "libpypy", "pypy", "beam.smp", "libgc.so",
  ]

  /// - Parameter maps: the text of `/proc/<pid>/maps`.
  package init(maps: [UInt8]) {
    self = .none
    for line in lines(maps[...]) {
      // Go's first arena: `arenaBaseOffset` and the hints of mallocinit in runtime/malloc.go, on all 64-bit machines.
      if line.starts(with: "c000000000-".utf8) || line.starts(with: "4000000000-".utf8), Self.isAnonymous(line) {
        self = .periodic
        return
      }
      guard let slash = line.lastIndex(of: UInt8(ascii: "/")) else { continue }
      let name = line[(slash + 1)...]
      if Self.runtimes.contains(where: { name.starts(with: $0.utf8) }) { self = .onDemand }
    }
  }

  /// No file behind it: inode 0. Kernels that name anonymous mappings may add one in brackets.
  private static func isAnonymous(_ line: ArraySlice<UInt8>) -> Bool {
    let fields = words(line)
    return fields.count >= 5 && fields[4].elementsEqual("0".utf8)
  }
}
