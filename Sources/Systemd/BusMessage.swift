// SPDX-License-Identifier: Apache-2.0
// Writing the body of a D-Bus message. See sd_bus_message_append_basic(3), sd_bus_message_open_container(3).

import CSystemd
import Glibc

/// Appends to a message. The first failure is kept, and nothing is appended after it.
@safe struct BusWriter {
  private let message: OpaquePointer
  /// 0, or a negative errno.
  private(set) var status: CInt = 0

  init(_ message: OpaquePointer) { unsafe self.message = unsafe message }

  private mutating func run(_ call: (OpaquePointer) -> CInt) {
    if status >= 0 { status = unsafe min(call(message), 0) }
  }

  private static func code(_ type: Unicode.Scalar) -> CChar { CChar(truncatingIfNeeded: type.value) }

  mutating func string(_ value: String) {
    // C would take it for the end, and what follows would not be seen.
    guard !value.utf8.contains(0) else { return status = -EINVAL }
    unsafe run { unsafe sd_bus_message_append_basic($0, Self.code("s"), value) }
  }

  mutating func number(_ value: UInt64) {
    var value = value
    unsafe run { unsafe sd_bus_message_append_basic($0, Self.code("t"), &value) }
  }

  mutating func flag(_ value: Bool) {
    var value: CInt = value ? 1 : 0
    unsafe run { unsafe sd_bus_message_append_basic($0, Self.code("b"), &value) }
  }

  mutating func bytes(_ value: [UInt8]) {
    unsafe run { unsafe sd_bus_message_append_array($0, Self.code("y"), value, value.count) }
  }

  mutating func strings(_ values: [String]) {
    array(of: "s") { for value in values { $0.string(value) } }
  }

  mutating func array(of contents: String, _ body: (inout BusWriter) -> Void) { container("a", contents, body) }
  mutating func structure(_ contents: String, _ body: (inout BusWriter) -> Void) { container("r", contents, body) }

  /// An element of `a(sv)`, as unit properties are given.
  mutating func property(_ name: String, _ signature: String, _ body: (inout BusWriter) -> Void) {
    structure("sv") {
      $0.string(name)
      $0.container("v", signature, body)
    }
  }

  mutating func property(_ name: String, _ value: String) { property(name, "s") { $0.string(value) } }
  mutating func property(_ name: String, _ value: Bool) { property(name, "b") { $0.flag(value) } }
  mutating func property(_ name: String, _ value: UInt64) { property(name, "t") { $0.number(value) } }
  /// In microseconds, as all times of units are.
  mutating func property(_ name: String, _ value: Duration) {
    property(name, UInt64(clamping: (value / .microseconds(1)).isFinite ? Int64(value / .microseconds(1)) : .max))
  }

  private mutating func container(_ type: Unicode.Scalar, _ contents: String, _ body: (inout BusWriter) -> Void) {
    unsafe run { unsafe sd_bus_message_open_container($0, Self.code(type), contents) }
    body(&self)
    unsafe run { unsafe sd_bus_message_close_container($0) }
  }
}

/// Reads what a reply holds. See sd_bus_message_read_basic(3).
@safe struct BusReader {
  private let message: OpaquePointer

  init(_ message: OpaquePointer) { unsafe self.message = unsafe message }

  /// The next string, object path or signature; `nil` at the end, or if it is none.
  func string(_ type: Unicode.Scalar = "s") -> String? {
    var text: UnsafePointer<CChar>?
    guard unsafe sd_bus_message_read_basic(message, CChar(truncatingIfNeeded: type.value), &text) > 0,
      let text = unsafe text
    else { return nil }
    return unsafe String(cString: text)
  }

  /// Hands over each element of an array of structures: the elements' strings are read, the rest is passed over.
  func structures(_ contents: String, _ body: (BusReader) -> Void) {
    guard unsafe sd_bus_message_enter_container(message, CChar(UInt8(ascii: "a")), "(\(contents))") > 0 else { return }
    while unsafe sd_bus_message_enter_container(message, CChar(UInt8(ascii: "r")), contents) > 0 {
      body(self)
      // What is left of the structure must be read, or it cannot be left.
      while unsafe sd_bus_message_at_end(message, 0) == 0 {
        guard unsafe sd_bus_message_skip(message, nil) >= 0 else { return }
      }
      guard unsafe sd_bus_message_exit_container(message) >= 0 else { return }
    }
  }
}
