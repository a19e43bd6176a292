// SPDX-License-Identifier: Apache-2.0
// Names for addresses, where a profile has none: from the ELF files that are mapped, and from the maps that just-in-time
// compilers leave for perf(1).

import CElfutils
import Glibc
import Linux
import Pprof
import Synchronization

/// Names the addresses of one process. Names that it has found it keeps, for as long as it lives; files until
/// ``close()``, for what is read of them takes megabytes.
///
/// Files are looked up as the process sees them (`/proc/<pid>/root`), only regular ones are opened, and only one with the
/// build id that the profile tells is believed.
package final class Symbolizer: Sendable {
  private let pid: Int32
  private let processes: String
  private let state: Mutex<State>

  private struct State {
    var files: [String: ELFFile?] = [:]
    /// By mapped file and offset: looking one up may go through all of a large program's debug data.
    var known: [Place: [Profile.Frame]] = [:]
    /// `nil` until it is looked for.
    var jit: PerfMap?
    var isJITKnown = false
  }

  private struct Place: Hashable {
    var file: String
    var offset: UInt64
  }

  private static let mostKnown = 20_000
  /// Larger than any program; a sparse file may pretend to be anything.
  private static let largestFile = 4 << 30
  private static let mostFiles = 200

  /// - Parameter processes: where procfs is mounted.
  package init(pid: Int32, processes: String = "/proc") {
    (self.pid, self.processes) = (pid, processes)
    state = Mutex(State())
  }

  /// What is at an address, innermost first. Without symbols: the file and the offset in it, as `app+0x1a2b`.
  package func frames(at address: UInt64, in mapping: Profile.Mapping?) -> [Profile.Frame] {
    state.withLock { state in
      if let mapping, mapping.file.hasPrefix("/"), mapping.start <= address, address < mapping.limit {
        let offset = address - mapping.start &+ mapping.offset
        let place = Place(file: mapping.file, offset: offset)
        if let known = state.known[place] { return known }
        var found = file(mapping, &state)?.frames(at: offset) ?? []
        if found.isEmpty {
          let name = mapping.file.split(separator: "/").last ?? ""
          found = [Profile.Frame(function: "\(name)+0x\(String(offset, radix: 16))")]
        }
        if state.known.count < Self.mostKnown { state.known[place] = found }
        return found
      }
      if !state.isJITKnown {
        state.isJITKnown = true
        state.jit = PerfMap(of: pid, processes: processes)
      }
      return state.jit?.name(at: address).map { [Profile.Frame(function: $0)] } ?? []
    }
  }

  /// Closes the files. What was found in them is known still.
  package func close() {
    let wasOpen = state.withLock { state in
      defer { state.files = [:] }
      return !state.files.isEmpty
    }
    // Of many small pieces, which the allocator would keep.
    if wasOpen { Host.returnFreedMemory() }
  }

  private func file(_ mapping: Profile.Mapping, _ state: inout State) -> ELFFile? {
    if let known = state.files[mapping.file] { return known }
    if state.files.count >= Self.mostFiles { return nil }
    let found = open(mapping)
    state.files[mapping.file] = .some(found)
    return found
  }

  private func open(_ mapping: Profile.Mapping) -> ELFFile? {
    // Replaced on disk, it is there no more under its name; what has its place has other symbols.
    guard !mapping.file.hasSuffix(" (deleted)"),
      let handle = try? Descriptor(regularFile: "\(processes)/\(pid)/root\(mapping.file)"),
      let size = try? handle.size(), size <= Self.largestFile
    else { return nil }
    guard let file = ELFFile(consuming: handle, name: mapping.file) else { return nil }
    let told = mapping.buildID.lowercased()
    if !told.isEmpty, !file.buildID.isEmpty, told != file.buildID { return nil }
    return file
  }
}

extension Symbolizer {
  /// For a location of a profile that has no frames.
  package func frames(of location: Profile.Location, in mappings: [Profile.Mapping]) -> [Profile.Frame] {
    let mapping =
      location.mapping.flatMap { mappings.indices.contains($0) ? mappings[$0] : nil }
      ?? mappings.first { $0.start <= location.address && location.address < $0.limit }
    return frames(at: location.address, in: mapping)
  }
}

/// One ELF file that is open in libdw.
@safe
private final class ELFFile: @unchecked Sendable {
  // Used under the symbolizer's lock only.
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
      let name = unsafe frame.function.map { unsafe String(cString: $0) } ?? ""
      return unsafe Profile.Frame(
        function: Self.demangled(name), systemName: name, file: frame.file.map { unsafe String(cString: $0) } ?? "",
        line: Int(frame.line))
    }
  }

  private static func demangled(_ name: String) -> String {
    guard let text = unsafe fdwatch_demangled(name) else { return name }
    defer { unsafe free(text) }
    let whole = unsafe String(cString: text)
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
