// SPDX-License-Identifier: Apache-2.0
// What a detector knows, as bytes: it outlives a restart of who feeds it.

import Descriptors

/// Why a saved state was refused. Who gets one begins afresh.
package enum SavedStateError: Error, Equatable, CustomStringConvertible {
  case foreign
  case otherVersion(UInt16)
  case damaged

  package var description: String {
    switch self {
    case .foreign: "not the saved state of a detector"
    case .otherVersion(let version):
      "saved by a version of fdwatch whose states have format \(version); this one reads \(Archive.version)"
    case .damaged: "damaged: incomplete, or changed since it was saved"
    }
  }
}

/// What can be saved: one function names the fields, for writing and for reading alike.
protocol Storable {
  /// What is read over.
  static var blank: Self { get }
  mutating func store(_ archive: inout Archive) throws(SavedStateError)
}

/// A sequence of fields, being written or being read.
///
/// A header (`FDWD`, the version), the fields as little-endian numbers and as counted text, and at last FNV-1a of all that
/// goes before (Fowler, Noll, Vo). Nothing that is read is believed: counts are checked against the bytes that are left.
struct Archive {
  /// Changes with the fields of whatever is stored.
  static let version: UInt16 = 3
  private static let magic = Array("FDWD".utf8)

  private var bytes: [UInt8] = []
  private var position = 0
  let isReading: Bool

  /// For writing.
  init() {
    isReading = false
    bytes = Self.magic
    append(Self.version)
  }

  init(reading bytes: [UInt8]) throws(SavedStateError) {
    isReading = true
    guard bytes.starts(with: Self.magic) else { throw .foreign }
    self.bytes = bytes
    position = Self.magic.count
    let version: UInt16 = try next()
    guard version == Self.version else { throw .otherVersion(version) }
    guard bytes.count >= position + 8 else { throw .damaged }
    let end = bytes.count - 8
    self.bytes = Array(bytes[..<end])
    var sum: UInt64 = 0
    for byte in bytes[end...].reversed() { sum = sum << 8 | UInt64(byte) }
    guard sum == Self.checksum(self.bytes) else { throw .damaged }
  }

  /// What was written, whole.
  var finished: [UInt8] {
    var copy = self
    copy.append(Self.checksum(bytes))
    return copy.bytes
  }

  /// Whether all has been read.
  var isAtEnd: Bool { position == bytes.count }

  private static func checksum(_ bytes: [UInt8]) -> UInt64 {
    bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  private mutating func append(_ value: some FixedWidthInteger) {
    for shift in stride(from: 0, to: value.bitWidth, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
  }

  private mutating func next<Value: FixedWidthInteger>() throws(SavedStateError) -> Value {
    let size = Value.bitWidth / 8
    guard bytes.count - position >= size else { throw .damaged }
    var value: Value = 0
    for offset in 0..<size { value |= Value(truncatingIfNeeded: bytes[position + offset]) << (8 * offset) }
    position += size
    return value
  }

  /// A number of elements of at least `size` bytes each.
  private mutating func count(_ count: Int, of size: Int) throws(SavedStateError) -> Int {
    if !isReading {
      append(UInt32(count))
      return count
    }
    let found = Int(try next() as UInt32)
    guard found <= (bytes.count - position) / size else { throw .damaged }
    return found
  }
}

// MARK: Fields

extension Archive {
  fileprivate mutating func integer(_ value: inout some FixedWidthInteger) throws(SavedStateError) {
    if isReading { value = try next() } else { append(value) }
  }

  fileprivate mutating func text(_ value: inout String) throws(SavedStateError) {
    let size = try count(value.utf8.count, of: 1)
    if !isReading { return bytes.append(contentsOf: value.utf8) }
    guard let text = String(validating: bytes[position..<(position + size)], as: UTF8.self) else { throw .damaged }
    value = text
    position += size
  }

  mutating func field(_ value: inout some Storable) throws(SavedStateError) { try value.store(&self) }

  mutating func field<Value: Storable>(_ value: inout Value?) throws(SavedStateError) {
    var list = value.map { [$0] } ?? []
    try field(&list)
    value = list.first
  }

  mutating func field<Value: Storable>(_ values: inout [Value]) throws(SavedStateError) {
    let size = try count(values.count, of: 1)
    if isReading { values = [] }
    for index in 0..<size {
      if isReading { values.append(.blank) }
      try values[index].store(&self)
    }
  }

  /// A case, by its word.
  mutating func field<Value: RawRepresentable>(
    _ value: inout Value
  ) throws(SavedStateError) where Value.RawValue == String {
    var raw = value.rawValue
    try text(&raw)
    guard let found = Value(rawValue: raw) else { throw .damaged }
    value = found
  }
}

extension Storable where Self: FixedWidthInteger {
  static var blank: Self { 0 }
  mutating func store(_ archive: inout Archive) throws(SavedStateError) { try archive.integer(&self) }
}

extension Int: Storable {
  /// All that is stored as an `Int` counts something. Far above all that happens, and far below where sums would overflow.
  private static let mostStored = 1 << 48

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    try archive.integer(&self)
    guard (0...Self.mostStored).contains(self) else { throw .damaged }
  }
}

extension Int32: Storable {}
extension Int64: Storable {}
extension UInt8: Storable {}
extension UInt16: Storable {}
extension UInt32: Storable {}
extension UInt64: Storable {}

extension Double: Storable {
  static let blank = 0.0

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    var bits = bitPattern
    try archive.integer(&bits)
    self = Double(bitPattern: bits)
    // The largest are sums of squares of times.
    guard abs(self) < 1e30 else { throw .damaged }
  }
}

extension Float: Storable {
  static let blank: Float = 0

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    var bits = bitPattern
    try archive.integer(&bits)
    self = Float(bitPattern: bits)
    guard abs(self) < 1e12 else { throw .damaged }
  }
}

extension Bool: Storable {
  static let blank = false

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    var byte: UInt8 = self ? 1 : 0
    try archive.integer(&byte)
    self = byte != 0
  }
}

extension String: Storable {
  static let blank = ""
  mutating func store(_ archive: inout Archive) throws(SavedStateError) { try archive.text(&self) }
}
