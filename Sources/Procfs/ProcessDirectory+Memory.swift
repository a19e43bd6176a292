// SPDX-License-Identifier: Apache-2.0
// What a process has mapped and which privileges it was given: what decides which of its files are read.

import Linux

/// A file that is mapped for execution. See proc_pid_maps(5).
package struct MappedCode: Sendable, Equatable {
  package var start: UInt64
  package var limit: UInt64
  package var offset: UInt64
  package var major: UInt32
  package var minor: UInt32
  package var inode: UInt64
  /// As the process names it. What was deleted meanwhile ends with ` (deleted)`.
  package var path: String

  /// `nil` for a line of anything else.
  init?(maps line: ArraySlice<UInt8>) {
    var rest = line
    func field() -> ArraySlice<UInt8> {
      let word = rest.prefix { $0 != UInt8(ascii: " ") }
      rest = rest.dropFirst(word.count).drop { $0 == UInt8(ascii: " ") }
      return word
    }
    let range = field()
    guard field().contains(UInt8(ascii: "x")), let dash = range.firstIndex(of: UInt8(ascii: "-")),
      let start = range[..<dash].unsigned(radix: 16), let limit = range[(dash + 1)...].unsigned(radix: 16),
      start < limit,
      let offset = field().unsigned(radix: 16)
    else { return nil }
    let device = field().split(separator: UInt8(ascii: ":"), maxSplits: 1)
    guard device.count == 2, let major = device[0].unsigned(radix: 16), let minor = device[1].unsigned(radix: 16),
      let inode = field().unsigned(), rest.first == UInt8(ascii: "/"), rest.count <= 4096
    else { return nil }
    (self.start, self.limit, self.offset) = (start, limit, offset)
    (self.major, self.minor) = (UInt32(clamping: major), UInt32(clamping: minor))
    self.inode = inode
    path = rest.text
  }
}

extension ProcessDirectory {
  /// Of `maps` so many bytes are read: 40,000 lines, of which a program has some hundreds.
  package static let mostMapBytes = 4 << 20

  /// The files that it has mapped for execution, in the order of their addresses.
  /// - Parameter most: so many mappings.
  package func mappedCode(most: Int) throws(ProcfsError) -> [MappedCode] {
    var found: [MappedCode] = []
    try readMaps { line in
      if let code = MappedCode(maps: line) { found.append(code) }
      return found.count < most
    }
    return found
  }

  /// Where code lies, in files or not, and the end of the first thread's stack, 0 where there is none.
  package func codeRanges(most: Int) throws(ProcfsError) -> (code: [Range<UInt64>], mainStack: UInt64) {
    var code: [Range<UInt64>] = []
    var mainStack: UInt64 = 0
    try readMaps { line in
      let fields = words(line)
      guard fields.count >= 5, let dash = fields[0].firstIndex(of: UInt8(ascii: "-")),
        let start = fields[0][..<dash].unsigned(radix: 16), let limit = fields[0][(dash + 1)...].unsigned(radix: 16),
        start < limit
      else { return true }
      if fields[1].contains(UInt8(ascii: "x")) { code.append(start..<limit) }
      if fields.count == 6, fields[5].elementsEqual("[stack]".utf8) { mainStack = limit }
      return code.count < most
    }
    return (code, mainStack)
  }

  /// Hands out `maps` line by line.
  /// - Parameter body: whether to go on.
  private func readMaps(_ body: (ArraySlice<UInt8>) -> Bool) throws(ProcfsError) {
    do throws(SystemCallError) {
      let file = try Descriptor(reading: "maps", in: directory)
      var line: [UInt8] = []
      var total = 0
      while total < Self.mostMapBytes {
        guard let bytes = try file.receive(upTo: 64 << 10), !bytes.isEmpty else { break }
        total += bytes.count
        line += bytes
        var start = 0
        while let end = line[start...].firstIndex(of: UInt8(ascii: "\n")) {
          if !body(line[start..<end]) { return }
          start = end + 1
        }
        line.removeFirst(start)
        // No line is that long: a path has 4096 bytes at most, each of which may be escaped.
        if line.count > 32 << 10 { break }
      }
    } catch { throw ProcfsError(error, file: "maps") }
  }

  /// A handle of its root folder: what its absolute paths begin at.
  package func rootFolder() throws(SystemCallError) -> Descriptor { try Descriptor(path: "root", in: directory) }

  /// Whether it can be taken at its word: what it was given by whoever started it, its environment and descriptors, is
  /// no more than it could have given itself.
  ///
  /// A set-user-ID program has them of a stranger, and rights that he has not. Its user and group ids differ, or, where it
  /// has taken on its new ones for good, the kernel's note to its dynamic linker still says so (`AT_SECURE`, getauxval(3)).
  package var speaksForItself: Bool {
    guard let status = try? contents(of: "status"), let ids = ProcessIDs(status: status), ids.areEqual,
      let auxiliary = try? contents(of: "auxv")
    else { return false }
    return !Self.isSecure(auxiliary)
  }

  /// - Parameter vector: pairs of words, a type and a value, ended by the type 0.
  static func isSecure(_ vector: [UInt8]) -> Bool {
    let width = MemoryLayout<UInt>.size
    func word(_ place: Int) -> UInt { (0..<width).reversed().reduce(0) { $0 << 8 | UInt(vector[place + $1]) } }
    for place in stride(from: 0, through: vector.count - 2 * width, by: 2 * width) {
      // AT_SECURE of <elf.h>.
      if word(place) == 23 { return word(place + width) != 0 }
    }
    // A program of another word size, or one whose vector is withheld.
    return true
  }
}

/// Real, effective, saved and file system ids of users and groups, from `status`.
struct ProcessIDs: Equatable {
  var users: [UInt64] = []
  var groups: [UInt64] = []

  init?(status: [UInt8]) {
    for line in lines(status[...]) {
      if let rest = line.after("Uid:") { users = words(rest).compactMap { $0.unsigned() } }
      if let rest = line.after("Gid:") { groups = words(rest).compactMap { $0.unsigned() } }
    }
    guard users.count == 4, groups.count == 4 else { return nil }
  }

  var areEqual: Bool { Set(users).count == 1 && Set(groups).count == 1 }
}
