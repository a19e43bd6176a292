// SPDX-License-Identifier: Apache-2.0
// gzip (RFC 1952) in memory, through zlib.

import CZlib

enum Gzip {
  static func isGzip(_ bytes: [UInt8]) -> Bool { bytes.count >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b }

  /// zlib's windowBits for a gzip wrapper: 16 more than the window. See zlib.h.
  private static let windowBits: CInt = 15 + 16

  /// - Parameter limit: of the result. What would be longer is not expanded further: a kilobyte can hold a gigabyte.
  static func expand(_ bytes: [UInt8], limit: Int) throws(PprofError) -> [UInt8] {
    var stream = unsafe z_stream()
    guard unsafe inflateInit2_(&stream, windowBits, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size)) == Z_OK else {
      throw .damaged(reason: "zlib has no memory left", offset: 0)
    }
    defer { unsafe inflateEnd(&stream) }
    var result: [UInt8] = []
    result.reserveCapacity(min(statedSize(bytes), limit))
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    var position = 0
    while true {
      let (status, consumed, produced) = unsafe step(&stream, bytes, from: position, into: &chunk)
      position += consumed
      if result.count + produced > limit { throw .tooLarge(limit: "expanded", most: limit) }
      result.append(contentsOf: chunk[..<produced])
      switch status {
      case Z_STREAM_END where position == bytes.count: return result
      case Z_STREAM_END:
        // A file of several members is the concatenation of what they hold.
        guard bytes[position] == 0x1f, unsafe inflateReset(&stream) == Z_OK else {
          throw .damaged(reason: "something follows the compressed data", offset: position)
        }
      case Z_OK where consumed > 0 || produced > 0: continue
      case Z_OK, Z_BUF_ERROR: throw .truncated
      default: throw .damaged(reason: "the compressed data are wrong", offset: position)
      }
    }
  }

  private static func step(
    _ stream: inout z_stream, _ bytes: [UInt8], from position: Int, into chunk: inout [UInt8]
  ) -> (status: CInt, consumed: Int, produced: Int) {
    // zlib only reads what next_in points to, whatever its type says.
    unsafe bytes.withUnsafeBufferPointer { input in
      unsafe chunk.withUnsafeMutableBufferPointer { output in
        unsafe stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress?.advanced(by: position))
        unsafe stream.avail_in = UInt32(min(input.count - position, Int(UInt32.max)))
        unsafe stream.next_out = output.baseAddress
        unsafe stream.avail_out = UInt32(output.count)
        let before = unsafe stream.avail_in
        let status = unsafe inflate(&stream, Z_NO_FLUSH)
        return unsafe (status, Int(before - stream.avail_in), output.count - Int(stream.avail_out))
      }
    }
  }

  /// The size that the last four bytes state, which may be wrong.
  private static func statedSize(_ bytes: [UInt8]) -> Int {
    bytes.suffix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
  }

  static func compress(_ bytes: [UInt8]) -> [UInt8] {
    var stream = unsafe z_stream()
    let began = unsafe deflateInit2_(
      &stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
      CInt(MemoryLayout<z_stream>.size))
    precondition(began == Z_OK, "zlib has no memory left")
    defer { unsafe deflateEnd(&stream) }
    // Enough for all of it in one call, says deflateBound.
    var result = unsafe [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(bytes.count))) + 32)
    let size = unsafe bytes.withUnsafeBufferPointer { input in
      unsafe result.withUnsafeMutableBufferPointer { output in
        unsafe stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
        unsafe stream.avail_in = UInt32(input.count)
        unsafe stream.next_out = output.baseAddress
        unsafe stream.avail_out = UInt32(output.count)
        let status = unsafe deflate(&stream, Z_FINISH)
        precondition(status == Z_STREAM_END, "deflateBound was too small")
        return unsafe output.count - Int(stream.avail_out)
      }
    }
    result.removeLast(result.count - size)
    return result
  }
}
