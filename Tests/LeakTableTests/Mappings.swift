// SPDX-License-Identifier: Apache-2.0
// What lies where in a process's memory. See proc(5), /proc/pid/maps.

import LeakTable
import Linux
import Pprof

/// The code that is mapped in a process, by address.
struct Mappings: Sendable {
  /// Ascending.
  private(set) var all: [Profile.Mapping] = []

  init(of pid: Int32) throws {
    self.init(text: try Descriptor(reading: "/proc/\(pid)/maps").contents(limit: 16 << 20))
  }

  /// - Parameter text: lines `START-LIMIT rwxp OFFSET DEVICE INODE   PATH`. What is none is passed over.
  init(text: [UInt8]) {
    for line in text.split(separator: UInt8(ascii: "\n")) {
      let words = line.split(separator: UInt8(ascii: " "), maxSplits: 5, omittingEmptySubsequences: true)
      guard words.count >= 5, words[1].contains(UInt8(ascii: "x")) else { continue }
      let range = words[0].split(separator: UInt8(ascii: "-"))
      guard range.count == 2, let start = Self.number(range[0]), let limit = Self.number(range[1]),
        let offset = Self.number(words[2]), start < limit
      else { continue }
      let path = words.count == 6 ? words[5].drop { $0 == UInt8(ascii: " ") } : []
      all.append(
        Profile.Mapping(
          start: start, limit: limit, offset: offset, file: String(decoding: path, as: UTF8.self)))
    }
    all.sort { $0.start < $1.start }
  }

  private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
    UInt64(String(decoding: digits, as: UTF8.self), radix: 16)
  }

  func mapping(of address: UInt64) -> Profile.Mapping? {
    var (low, high) = (0, all.count)
    while low < high {
      let middle = (low + high) / 2
      if all[middle].start <= address { low = middle + 1 } else { high = middle }
    }
    guard low > 0, address < all[low - 1].limit else { return nil }
    return all[low - 1]
  }
}

extension TableSnapshot.Profile {
  /// As pprof has it: a sample for each stack, with the numbers of its descriptors as labels `fd`.
  func pprof(_ mappings: Mappings) -> Profile {
    var builder = ProfileBuilder(sampleTypes: [Pprof.Profile.ValueType(type: name, unit: "count")])
    var locations: [UInt64: UInt32] = [:]
    for group in groups {
      let stack = group.stack.map { address in
        if let known = locations[address] { return known }
        let mapping = mappings.mapping(of: address).map { builder.mapping($0) }
        let location = builder.location(Pprof.Profile.Location(address: address, mapping: mapping, frames: []))
        locations[address] = location
        return location
      }
      builder.add(
        stack: stack, values: [Int64(group.count)],
        labels: group.descriptors.map { Pprof.Profile.Label("fd", .number(Int64($0), unit: "")) })
    }
    return builder.finish()
  }
}
