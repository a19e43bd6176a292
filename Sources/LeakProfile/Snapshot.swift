// SPDX-License-Identifier: Apache-2.0
// The values of a profile at one moment, by stack.

import CLeakProfile

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

struct Snapshot {
  /// A stack, innermost frame first, and how many values it accounts for.
  struct Group {
    var stack: [UInt64]
    var count = 0
    var descriptors: [Int32] = []
  }

  /// Those with most values first.
  var groups: [Group] { found.groups.sorted { $0.count > $1.count } }
  var total: Int { found.groups.reduce(0) { $0 + $1.count } }
  private let found = Collector()

  private final class Collector {
    var groups: [Group] = []
    /// A stack has one address as long as the process lives.
    var index: [UInt: Int] = [:]

    func add(_ stack: UnsafeBufferPointer<UInt64>, descriptor: Int32, every: Int) {
      let key = UInt(bitPattern: stack.baseAddress)
      let position = index[key] ?? groups.count
      if position == groups.count {
        index[key] = position
        groups.append(Group(stack: unsafe Array(stack)))
      }
      groups[position].count += every
      if descriptor >= 0 { groups[position].descriptors.append(descriptor) }
    }
  }

  init(of profile: Profile) {
    let context = unsafe Unmanaged.passUnretained(found).toOpaque()
    unsafe leakprofile_visit(
      profile.number,
      { context, _, descriptor, every, stack, depth in
        guard let context = unsafe context else { return }
        let found = unsafe Unmanaged<Collector>.fromOpaque(context).takeUnretainedValue()
        unsafe found.add(
          UnsafeBufferPointer(start: stack, count: stack == nil ? 0 : Int(depth)), descriptor: descriptor,
          every: Int(every))
      }, context)
  }
}

/// What dladdr(3) says of an address.
func symbol(at address: UInt64) -> String {
  unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { text in
    let length = unsafe leakprofile_symbol(address, text.baseAddress, text.count)
    return unsafe String(decoding: text[..<Int(length)].lazy.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

// MARK: Mappings

struct Mapping {
  var start: UInt64 = 0
  var limit: UInt64 = 0
  var offset: UInt64 = 0
  var file = ""

  /// Those of code, from `/proc/self/maps`. None where there is no such file, or no descriptor left to open it.
  static func current() -> [Mapping] {
    let file = unsafe open("/proc/self/maps", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return [] }
    defer { close(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let got = unsafe read(file, &chunk, chunk.count)
      if got < 0, errno == EINTR { continue }
      if got <= 0 { break }
      bytes += chunk[..<got]
    }
    return bytes.split(separator: UInt8(ascii: "\n")).compactMap { Mapping(line: $0) }
  }

  /// `START-LIMIT rwxp OFFSET DEVICE INODE   PATH`
  private init?(line: ArraySlice<UInt8>) {
    let words = line.split(separator: UInt8(ascii: " "), maxSplits: 5, omittingEmptySubsequences: true)
    guard words.count == 6, words[1].contains(UInt8(ascii: "x")) else { return nil }
    let range = words[0].split(separator: UInt8(ascii: "-"))
    guard range.count == 2, let start = Self.number(range[0]), let limit = Self.number(range[1]),
      let offset = Self.number(words[2])
    else { return nil }
    let path = words[5].drop { $0 == UInt8(ascii: " ") }
    (self.start, self.limit, self.offset) = (start, limit, offset)
    file = String(decoding: path, as: UTF8.self)
  }

  private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
    UInt64(String(decoding: digits, as: UTF8.self), radix: 16)
  }
}
