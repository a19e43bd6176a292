// SPDX-License-Identifier: Apache-2.0
// What processes export: profiles, tables, maps of compiled code, the files that they have mapped.

import CElfutils
import CLinux

@testable import LeakTable
@testable import Linux
@testable import Parsing
@testable import Pprof
@testable import Symbols

private let limits: ProfileLimits = {
  var limits = ProfileLimits()
  limits.expandedBytes = 1 << 20
  return limits
}()

/// A sealed file in memory, as a descriptor.
private func memoryFile(_ bytes: [UInt8]) -> Descriptor? {
  let number = bytes.withUnsafeBytes { fdwatch_memory_file("fuzz", $0.baseAddress, $0.count) }
  return number < 0 ? nil : Descriptor(owning: number)
}

/// A table of the least size, which its third word states.
private func sized(_ table: [UInt8]) -> [UInt8] {
  var table = table + [UInt8](repeating: 0, count: max(0, 1 << 16 - table.count))
  table.removeLast(table.count % 8)
  for shift in 0..<8 { table[16 + shift] = UInt8(truncatingIfNeeded: table.count >> (8 * shift)) }
  return table
}

/// Addresses in a file and in compiled code, for which names are looked up.
private let usualProfile: [UInt8] = {
  var builder = ProfileBuilder(sampleTypes: [Profile.ValueType(type: "file", unit: "count")])
  let stack = stride(from: UInt64(0x1000), to: 0xa000, by: 0x333).map {
    builder.location(Profile.Location(address: $0, mapping: nil, frames: []))
  }
  builder.add(stack: stack, values: [3], labels: [])
  return builder.finish().encoded(compressed: false)
}()

/// What was read is written as it was, and reads again to the same.
private func checkRoundTrip(_ profile: Profile) {
  let stacks = profile.stackCounts()
  do {
    let again = try Profile(decoding: profile.encoded(compressed: false), limits: ProfileLimits())
    check(again.stackCounts() == stacks, "written, it reads differently")
    _ = try again.subtracting(profile)
  } catch {
    fatalError("what was written cannot be read: \(error)")
  }
  _ = try? Profile(text: Array(profile.text(name: "file").utf8))
}

extension Target {
  static var pprof: Target {
    Target { bytes in
      if let profile = try? Profile(decoding: bytes, limits: limits) { checkRoundTrip(profile) }
    }
  }

  static var profileText: Target {
    Target { bytes in
      if let profile = try? Profile(text: bytes, limits: limits) { checkRoundTrip(profile) }
    }
  }

  /// A table of leakprofile, whose stated size is put right, or hardly any would pass.
  static var table: Target {
    Target { bytes in
      var words = stride(from: 0, to: bytes.count & ~7, by: 8).map { place in
        bytes[place..<place + 8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      }
      if words.count > 2 { words[2] = UInt64(words.count * 8) }
      guard let snapshot = try? TableSnapshot(words: words) else { return }
      for profile in snapshot.profiles {
        for group in profile.groups { check(group.stack.count <= 256, "a stack of \(group.stack.count) frames") }
        check(profile.entries <= words.count / 4, "\(profile.entries) entries in \(words.count) words")
      }
    }
  }

  static var perfMap: Target {
    Target { bytes in
      var addresses: Set<UInt64> = [0, .max]
      for line in bytes.split(separator: UInt8(ascii: "\n")).prefix(50) {
        guard let start = UInt64(line.prefix { $0 != UInt8(ascii: " ") }.string, radix: 16) else { continue }
        addresses.formUnion([start, start &+ 1, start &- 1])
      }
      guard let file = memoryFile(bytes) else { return }
      let names = PerfMap(file).names(of: addresses, within: .none)
      check(names.allSatisfy { addresses.contains($0.key) && $0.value.utf8.count <= 3 * 1024 }, "a name of another")
    }
  }

  /// All that the helper does with a profile or a table, a map of compiled code and an ELF file: the bytes are the one, and
  /// the others are as they should be.
  static var parse: Target {
    Target { bytes in
      guard let (choice, rest) = bytes.choosing(among: 4) else { return }
      var job = ParseJob(choice == 0 ? .bytes(rest.count) : choice == 1 ? .table(0) : .file)
      job.limits = limits
      var work = ParseWork(job)
      let symbolizer = Symbolizer()
      work.mappings = [
        Profile.Mapping(start: 0x1000, limit: 0x9000, offset: 0, file: "/app"),
        Profile.Mapping(start: 0x9000, limit: 0xa000, offset: 0, file: "//anon"),
      ]
      switch choice {
      case 0: work.bytes = rest
      // A table has 64 KiB at least.
      case 1: work.file = memoryFile(sized(rest))
      case 2:
        work.file = memoryFile(usualProfile)
        if let file = memoryFile(rest) { symbolizer.add(file, path: "/app") }
      default:
        work.file = memoryFile(usualProfile)
        if let file = memoryFile(rest) { work.perfMap = PerfMap(file) }
      }
      let answer = AnswerWire.encoded(work.run(symbolizer))
      check(answer.count <= AnswerLimits.bytes, "an answer of \(answer.count) bytes")
      check((try? AnswerWire.decoded(answer)) != nil, "an answer that is none")
    }
  }

  /// libdw itself is not instrumented: what is found in it is its own. The helper contains it.
  static var elf: Target {
    Target { bytes in
      let file = bytes.withUnsafeBytes { fdwatch_memory_file("fuzz", $0.baseAddress, $0.count) }
      guard file >= 0, let elf = fdwatch_elf_open(file, "fuzz") else { return }
      defer { fdwatch_elf_close(elf) }
      var id: UnsafePointer<UInt8>?
      check(fdwatch_elf_build_id(elf, &id) <= bytes.count, "a build id longer than its file")
      var frames = [fdwatch_frame](repeating: fdwatch_frame(), count: 32)
      for offset in stride(from: 0, through: UInt64(bytes.count), by: max(1, bytes.count / 16)) {
        let count = fdwatch_elf_frames(elf, offset, &frames, frames.count)
        check(count <= frames.count, "\(count) frames")
        for frame in frames.prefix(count) {
          _ = frame.function.map { String(cString: $0) }
          _ = frame.file.map { String(cString: $0) }
        }
      }
    }
  }
}
