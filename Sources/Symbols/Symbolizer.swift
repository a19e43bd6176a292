// SPDX-License-Identifier: Apache-2.0
// Names for addresses, where a profile has none: from the ELF files that are mapped, and from the maps that just-in-time
// compilers leave for perf(1).

import CElfutils
import Glibc
import Linux
import Pprof

/// Names the addresses of one process, from files that somebody else has opened for it. Names that it has found it keeps,
/// for as long as it lives; what is read of files until ``close()``, for that takes megabytes.
///
/// To be used in a process of its own: libdw maps files that their owner may cut off, and trusts what is in them.
package final class Symbolizer {
  private var files: [String: File] = [:]
  /// By mapped file and offset: looking one up may go through all of a large program's debug data.
  private var known: [Place: [Profile.Frame]] = [:]
  /// Addresses in no file, from a map of a just-in-time compiler.
  private var compiled: [UInt64: String] = [:]

  private final class File {
    let file: Descriptor
    var elf: ELFFile??

    init(_ file: consuming Descriptor) { self.file = file }
  }

  private struct Place: Hashable {
    var file: String
    var offset: UInt64
  }

  private static let mostKnown = 20_000
  /// Larger than any program; a sparse file may pretend to be anything.
  private static let largestFile = 2 << 30
  package static let mostFiles = 128
  /// Bytes of a name: what is longer is cut. Templates of C++ and Swift make long ones.
  package static let longestName = 1024

  package init() {}

  /// A file that is mapped under that path.
  package func add(_ file: consuming Descriptor, path: String) {
    if files.count < Self.mostFiles, files[path] == nil { files[path] = File(file) }
  }

  /// Looks up addresses that are in no file.
  package func read(_ map: borrowing PerfMap, for addresses: Set<UInt64>, within budget: Budget) {
    let new = map.names(of: addresses.filter { compiled[$0] == nil }, within: budget)
    if compiled.count + new.count > Self.mostKnown { compiled = [:] }
    compiled.merge(new) { $1 }
  }

  /// What is at an address, innermost first. Without symbols: the file and the offset in it, as `app+0x1a2b`.
  /// - Parameter budget: once it is spent nothing is looked up that is not known.
  package func frames(
    at address: UInt64, in mapping: Profile.Mapping?, within budget: Budget = .none
  ) -> [Profile.Frame] {
    guard let mapping, mapping.file.hasPrefix("/"), mapping.start <= address, address < mapping.limit else {
      return compiled[address].map { [Profile.Frame(function: $0)] } ?? []
    }
    let offset = address - mapping.start &+ mapping.offset
    let place = Place(file: mapping.file, offset: offset)
    if let found = known[place] { return found }
    var found = budget.isSpent ? [] : elf(mapping)?.frames(at: offset) ?? []
    if found.isEmpty {
      let name = mapping.file.split(separator: "/").last ?? ""
      found = [Profile.Frame(function: "\(name.prefix(256))+0x\(String(offset, radix: 16))")]
      if budget.isSpent { return found }
    }
    if known.count < Self.mostKnown { known[place] = found }
    return found
  }

  /// A file that was added, for another reader.
  func duplicate(_ path: String) -> Descriptor? {
    guard let file = files[path], let size = try? file.file.size(), size <= Self.largestFile else { return nil }
    return try? file.file.duplicate()
  }

  /// Lets go of what was read of files. What was found in them is known still.
  package func close() {
    var wasOpen = false
    for file in files.values where file.elf != nil {
      file.elf = nil
      wasOpen = true
    }
    // Of many small pieces, which the allocator would keep.
    if wasOpen { Host.returnFreedMemory() }
  }

  private func elf(_ mapping: Profile.Mapping) -> ELFFile? {
    guard let file = files[mapping.file] else { return nil }
    if file.elf == nil { file.elf = .some(Self.open(file.file, mapping.file)) }
    guard let elf = file.elf ?? nil else { return nil }
    // Of another build, other things are there.
    let told = mapping.buildID.lowercased()
    return told.isEmpty || elf.buildID.isEmpty || told == elf.buildID ? elf : nil
  }

  private static func open(_ file: borrowing Descriptor, _ name: String) -> ELFFile? {
    guard let size = try? file.size(), size <= largestFile, let copy = try? file.duplicate() else { return nil }
    return ELFFile(consuming: copy, name: name)
  }
}

/// One ELF file that is open in libdw.
@safe
private final class ELFFile {
  private let elf: OpaquePointer
  /// Hexadecimal digits, or empty.
  let buildID: String

  /// Of one place: compilers inline deeply, but not that deeply.
  private static let mostFrames = 32

  init?(consuming file: consuming Descriptor, name: String) {
    let number = file.release()
    guard let opened = unsafe name.withCString({ unsafe fdwatch_elf_open(number, $0) }) else { return nil }
    unsafe elf = opened
    var bytes: UnsafePointer<UInt8>?
    let size = unsafe fdwatch_elf_build_id(opened, &bytes)
    buildID = unsafe UnsafeBufferPointer(start: bytes, count: size).map {
      ($0 < 16 ? "0" : "") + String($0, radix: 16)
    }.joined()
  }

  deinit { unsafe fdwatch_elf_close(elf) }

  func frames(at offset: UInt64) -> [Profile.Frame] {
    var found = unsafe [fdwatch_frame](repeating: fdwatch_frame(), count: Self.mostFrames)
    let count = unsafe fdwatch_elf_frames(elf, offset, &found, found.count)
    return unsafe found.prefix(count).map { frame in
      let name = unsafe Self.text(frame.function)
      return unsafe Profile.Frame(
        function: Self.demangled(name).cut(to: Symbolizer.longestName), systemName: "", file: Self.text(frame.file),
        line: Int(frame.line))
    }
  }

  /// At most so much of it that a name still can be demangled.
  private static let longestMangled = 4096

  private static func text(_ string: UnsafePointer<CChar>?) -> String {
    guard let string = unsafe string else { return "" }
    let count = unsafe strnlen(string, longestMangled)
    return unsafe UnsafeBufferPointer(start: string, count: count).withMemoryRebound(to: UInt8.self) {
      unsafe String(decoding: $0, as: UTF8.self)
    }
  }

  private static func demangled(_ name: String) -> String {
    guard name.utf8.count < longestMangled, let text = unsafe fdwatch_demangled(name) else { return name }
    defer { unsafe free(text) }
    let whole = unsafe Self.text(text)
    return name.hasPrefix("$s") ? withoutResult(whole) : whole
  }

  /// A Swift function without what it returns, which is no part of how people name it.
  private static func withoutResult(_ name: String) -> String {
    // Of a closure the arrow stands in the middle.
    if name.contains(" in ") { return name }
    var depth = 0
    var previous: Character = " "
    for index in name.indices {
      switch name[index] {
      case "(", "<", "[": depth += 1
      case ")", "]": depth -= 1
      case ">" where previous != "-": depth -= 1
      case ">" where depth == 0: return String(name[..<name.index(index, offsetBy: -2)])
      default: break
      }
      previous = name[index]
    }
    return name
  }
}
