// SPDX-License-Identifier: Apache-2.0
// What outlives a restart of the daemon: what detectors know, what alerts were told, silences.

import Alerts
import Descriptors
import FoundationEssentials
import Linux

/// Files in the state directory, each replaced as a whole.
package struct StateStore: Sendable {
  package let folder: String
  private var detectorsFile: String { folder + "/detectors" }
  private var alertsFile: String { folder + "/alerts.json" }
  private var silencesFile: String { folder + "/silences.json" }
  private var runsFile: String { folder + "/hooks.json" }

  /// 200,000 descriptors, which is all that are followed, take 4 MB; the classes of a process up to 15 KB.
  static let mostOfDetectors = 16 << 20
  /// To read JSON takes twelve times its size: 5 MB took 57 MB, of the 64 MB that `fdwatch.service` may use. Alerts have 1.5
  /// MiB (``AlertBook/room``), and what workers have left 256 KiB.
  static let mostOfJSON = 5 << 19
  private static let magic = Array("fdwatch detectors 1\n".utf8)

  package init(folder: String) { self.folder = folder }

  /// A process, for good.
  package struct Key: Hashable, Sendable {
    package var pid: Int32
    package var startTime: UInt64

    package init(pid: Int32, startTime: UInt64) { (self.pid, self.startTime) = (pid, startTime) }
    init(_ process: AlertProcess) { self.init(pid: process.pid, startTime: process.startTime) }
  }

  /// What was saved of detectors, handed out once each.
  package final class Remembered {
    /// Slices of the one file: a copy of each would take as much memory again at the start.
    private var states: [Key: (state: ArraySlice<UInt8>, savedAt: Duration)] = [:]

    package init() {}

    package var count: Int { states.count }

    func keep(_ state: ArraySlice<UInt8>, of key: Key, at time: Duration) { states[key] = (state, time) }

    func state(of key: Key) -> (state: [UInt8], savedAt: Duration)? {
      states.removeValue(forKey: key).map { (Array($0.state), $0.savedAt) }
    }

    /// Those who were not found again are not waited for.
    package func forget() { states = [:] }
  }
}

/// Why what was saved is not believed.
package enum StateError: Error, Equatable, CustomStringConvertible {
  case unreadable(path: String, reason: String)
  case unknown(path: String, reason: String)

  package var description: String {
    switch self {
    case .unreadable(let path, let reason):
      "\(path.printable) cannot be read (\(reason)): what was known before is lost"
    case .unknown(let path, let reason):
      "\(path.printable) is not what this version has saved (\(reason)): it begins anew"
    }
  }
}

// MARK: Detectors

extension StateStore {
  /// - Parameters:
  ///   - states: asked for one by one: those of all processes together are as large as what is known of them.
  ///   - time: since boot.
  package func save(
    _ states: some Sequence<(key: Key, state: [UInt8])>, boot: String, at time: Duration
  ) throws(SystemCallError) {
    var bytes = Self.magic
    bytes.append(contentsOf: boot.utf8)
    bytes.append(UInt8(ascii: "\n"))
    bytes.append(littleEndian: UInt64(clamping: time.nanoseconds))
    try Files.replace(detectorsFile) { (file) throws(SystemCallError) in
      var left = Self.mostOfDetectors - bytes.count
      for (key, state) in states {
        // It could not be read again: the smaller ones that follow may fit.
        guard state.count + 24 <= left else { continue }
        left -= state.count + 24
        bytes.append(littleEndian: UInt64(UInt32(bitPattern: key.pid)))
        bytes.append(littleEndian: key.startTime)
        bytes.append(littleEndian: UInt64(state.count))
        bytes.append(contentsOf: state)
        guard bytes.count >= Self.pieceSize else { continue }
        try file.write(bytes)
        bytes.removeAll(keepingCapacity: true)
      }
      try file.write(bytes)
    }
  }

  /// So much is written at once.
  private static let pieceSize = 64 << 10

  /// What was saved on this boot. Each state has a checksum of its own, which who restores it looks at.
  /// - Parameter time: now, since boot.
  package func rememberedDetectors(boot: String, at time: Duration) throws(StateError) -> Remembered {
    guard let bytes = try read(detectorsFile, most: Self.mostOfDetectors) else { return Remembered() }
    guard bytes.starts(with: Self.magic), let end = bytes[Self.magic.count...].firstIndex(of: UInt8(ascii: "\n")) else {
      throw .unknown(path: detectorsFile, reason: "its first line is another")
    }
    // Processes of another boot are gone, whatever their numbers.
    if Array(boot.utf8) != Array(bytes[Self.magic.count..<end]) { return Remembered() }
    var position = end + 1
    func number() -> UInt64? {
      guard bytes.count - position >= 8 else { return nil }
      defer { position += 8 }
      return bytes[position..<position + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    guard let savedAt = number().map({ Duration.nanoseconds(Int64(clamping: $0)) }) else {
      throw .unknown(path: detectorsFile, reason: "it is cut off")
    }
    // All that is known would lie in the future.
    guard savedAt <= time else { throw .unknown(path: detectorsFile, reason: "it is newer than now") }
    let remembered = Remembered()
    while position < bytes.count {
      guard let pid = number(), let start = number(), let count = number(), count <= bytes.count - position else {
        throw .unknown(path: detectorsFile, reason: "it is cut off")
      }
      remembered.keep(
        bytes[position..<position + Int(count)], of: Key(pid: Int32(truncatingIfNeeded: pid), startTime: start),
        at: savedAt)
      position += Int(count)
    }
    return remembered
  }

  private func read(_ path: String, most: Int) throws(StateError) -> [UInt8]? {
    do {
      return try Files.read(path, limit: most)
    } catch {
      if error.meaning == .noSuchEntry { return nil }
      throw .unreadable(path: path, reason: error.reason)
    }
  }
}

extension [UInt8] {
  fileprivate mutating func append(littleEndian number: UInt64) {
    for shift in stride(from: UInt64(0), to: 64, by: 8) { append(UInt8(truncatingIfNeeded: number >> shift)) }
  }
}

// MARK: Alerts and silences

extension StateStore {
  private struct Alerts: Codable {
    var boot: String
    var book: AlertBook.Saved
    var units: UnitLedger
  }

  package func save(_ book: AlertBook.Saved, _ units: UnitLedger, boot: String) throws(SystemCallError) {
    try replace(alertsFile, with: Alerts(boot: boot, book: book, units: units))
  }

  /// What was told, and whether it was on this boot: of another one no process is left.
  package func rememberedAlerts(
    boot: String
  ) throws(StateError) -> (book: AlertBook.Saved, units: UnitLedger, isThisBoot: Bool)? {
    guard let saved: Alerts = try decode(alertsFile) else { return nil }
    if saved.book.version != AlertBook.Saved.version {
      throw .unknown(path: alertsFile, reason: "version \(saved.book.version)")
    }
    guard saved.book.isSound, saved.units.isSound else {
      throw .unknown(path: alertsFile, reason: "its numbers cannot be")
    }
    return (saved.book, saved.units, saved.boot == boot)
  }

  package func save(_ silences: [Silence]) throws(SystemCallError) {
    try replace(silencesFile, with: silences, isDurable: true)
  }

  package func rememberedSilences() throws(StateError) -> [Silence] { try decode(silencesFile) ?? [] }

  /// Those that do not fit are left out, the latest first.
  package func save(_ runs: [SavedRun]) throws(SystemCallError) {
    var left = Self.mostOfJSON
    let fitting = runs.prefix { run in
      left -= 500 + run.input.jsonBytes + run.environment.reduce(0) { $0 + $1.jsonBytes + 3 }
      return left >= 0
    }
    try replace(runsFile, with: Array(fitting))
  }

  package func rememberedRuns() throws(StateError) -> [SavedRun] { try decode(runsFile) ?? [] }

  private func replace(
    _ path: String, with value: some Encodable, isDurable: Bool = false
  ) throws(SystemCallError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    // What we encode are plain values: it does not fail.
    guard let data = try? encoder.encode(value) else { return }
    if data.count > Self.mostOfJSON { throw SystemCallError("write", errno: SystemCallError.tooLarge) }
    try Files.replace(path, with: Array(data), isDurable: isDurable)
  }

  private func decode<Value: Decodable>(_ path: String) throws(StateError) -> Value? {
    guard let bytes = try read(path, most: Self.mostOfJSON) else { return nil }
    do {
      return try JSONDecoder().decode(Value.self, from: Data(bytes))
    } catch {
      throw .unknown(path: path, reason: "it is damaged, or of another version")
    }
  }
}
