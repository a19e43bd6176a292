// SPDX-License-Identifier: Apache-2.0
// A profile as text, and as pprof's message: google/pprof's proto/profile.proto.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A descriptor took less than it was given.
public struct WriteError: Error, Hashable {
  /// Of write(2).
  public let errno: Int32
}

/// write(2), whose name the methods here have, too.
func writeOnce(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
  unsafe write(descriptor, bytes.baseAddress, bytes.count)
}

extension Profile {
  /// Writes the profile, as it is now, to a descriptor that waits for its reader.
  /// - Parameter debug: 0 for pprof's message, compressed with gzip, as `go tool pprof` reads it; else text.
  public func write(to descriptor: Int32, debug: Int = 0) throws(WriteError) {
    let bytes = encoded(debug: debug)
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { unsafe writeOnce(descriptor, $0) }
      if count < 0, errno == EINTR { continue }
      if count < 0 { throw WriteError(errno: errno) }
      rest = rest.dropFirst(count)
    }
  }

  /// What ``write(to:debug:)`` writes.
  public func encoded(debug: Int = 0) -> [UInt8] {
    let snapshot = Snapshot(of: self)
    return debug == 0 ? Gzip.stored(message(snapshot)) : Array(text(snapshot).utf8)
  }

  // MARK: Text

  /// As Go writes it. Names are those that the dynamic linker knows.
  private func text(_ snapshot: Snapshot) -> String {
    var text = "\(name) profile: total \(snapshot.total)\n"
    for group in snapshot.groups {
      text += "\(group.count) @"
      // Return addresses there, and within the call below.
      for address in group.stack { text += " 0x\(String(address &+ 1, radix: 16))" }
      text += "\n"
      for address in group.stack { text += "#\t0x\(String(address, radix: 16))\t\(symbol(at: address))\n" }
      text += "\n"
    }
    return text
  }

  // MARK: The message

  private func message(_ snapshot: Snapshot) -> [UInt8] {
    var strings = Strings()
    let mappings = Mapping.current()
    var locations: [UInt64: UInt64] = [:]
    var message = Message()
    let type = Message { type in
      type.add(1, strings[name])
      type.add(2, strings["count"])
    }
    message.add(1, type)
    var samples = Message()
    for group in snapshot.groups {
      let sample = Message { sample in
        let ids = group.stack.map { address in
          let id = locations[address] ?? UInt64(locations.count + 1)
          locations[address] = id
          return id
        }
        sample.add(1, packed: ids)
        sample.add(2, packed: [UInt64(group.count)])
        for descriptor in group.descriptors {
          sample.add(
            3,
            Message { label in
              label.add(1, strings["fd"])
              label.add(3, UInt64(descriptor))
            })
        }
      }
      samples.add(2, sample)
    }
    message.append(samples)
    for (index, mapping) in mappings.enumerated() {
      message.add(
        3,
        Message { field in
          field.add(1, UInt64(index + 1))
          field.add(2, mapping.start)
          field.add(3, mapping.limit)
          field.add(4, mapping.offset)
          field.add(5, strings[mapping.file])
        })
    }
    for (address, id) in locations.sorted(by: { $0.value < $1.value }) {
      message.add(
        4,
        Message { location in
          location.add(1, id)
          if let index = mappings.firstIndex(where: { $0.start <= address && address < $0.limit }) {
            location.add(2, UInt64(index + 1))
          }
          location.add(3, address)
        })
    }
    for text in strings.all { message.add(6, bytes: Array(text.utf8)) }
    var now = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &now)
    message.add(9, UInt64(clamping: Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)))
    message.add(11, type)
    message.add(12, 1)
    return message.bytes
  }
}

/// Each string once; the first is empty.
private struct Strings {
  private(set) var all = [""]
  private var index = ["": UInt64(0)]

  subscript(_ text: String) -> UInt64 {
    mutating get {
      if let known = index[text] { return known }
      all.append(text)
      index[text] = UInt64(all.count - 1)
      return UInt64(all.count - 1)
    }
  }
}

/// A protocol buffer that is being written.
private struct Message {
  private(set) var bytes: [UInt8] = []

  init() {}
  init(_ fill: (inout Message) -> Void) { fill(&self) }

  mutating func append(_ other: Message) { bytes += other.bytes }

  mutating func add(_ field: UInt64, _ number: UInt64) {
    if number == 0 { return }
    varint(field << 3)
    varint(number)
  }

  mutating func add(_ field: UInt64, packed numbers: [UInt64]) {
    var packed = Message()
    for number in numbers { packed.varint(number) }
    add(field, packed)
  }

  mutating func add(_ field: UInt64, _ message: Message) { add(field, bytes: message.bytes) }

  mutating func add(_ field: UInt64, bytes more: [UInt8]) {
    varint(field << 3 | 2)
    varint(UInt64(more.count))
    bytes += more
  }

  private mutating func varint(_ number: UInt64) {
    var rest = number
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}

/// gzip without compression: RFC 1952, with the stored blocks of RFC 1951. No library is needed for it.
private enum Gzip {
  static func stored(_ content: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]
    bytes.reserveCapacity(content.count + content.count / 65535 * 5 + 32)
    var start = 0
    repeat {
      let end = min(start + 65535, content.count)
      let length = UInt16(end - start)
      bytes.append(end == content.count ? 1 : 0)
      bytes += [UInt8(truncatingIfNeeded: length), UInt8(length >> 8)]
      bytes += [UInt8(truncatingIfNeeded: ~length), UInt8(~length >> 8)]
      bytes += content[start..<end]
      start = end
    } while start < content.count
    append(checksum(content), to: &bytes)
    append(UInt32(truncatingIfNeeded: content.count), to: &bytes)
    return bytes
  }

  private static func append(_ number: UInt32, to bytes: inout [UInt8]) {
    for shift in stride(from: UInt32(0), through: 24, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: number >> shift))
    }
  }

  /// CRC-32.
  private static func checksum(_ content: [UInt8]) -> UInt32 {
    var table = [UInt32](repeating: 0, count: 256)
    for byte in 0..<256 {
      var value = UInt32(byte)
      for _ in 0..<8 { value = value & 1 == 1 ? 0xedb8_8320 ^ (value >> 1) : value >> 1 }
      table[byte] = value
    }
    var sum = ~UInt32(0)
    for byte in content { sum = table[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] ^ (sum >> 8) }
    return ~sum
  }
}
