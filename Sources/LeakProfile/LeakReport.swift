// SPDX-License-Identifier: Apache-2.0
// One report of a missing close.

import CLeakProfile

/// What was dropped without being closed, and who had opened it.
public struct LeakReport: Sendable, Hashable {
  /// `file /x: missing close`.
  public var message: String
  /// The name of the profile, or what else says of what sort it was.
  public var resource: String
  /// The number of its descriptor, where it has one.
  public var descriptor: Int32?
  /// Of who opened it, innermost frame first: addresses within the calls.
  public var stack: [UInt64]
  /// How many reports before it were lost, as more came than were taken.
  public var lost: Int

  /// The stack by the names that the dynamic linker knows: `function+0x1a`, or `file+0x1a2b`.
  public var symbols: [String] { stack.map { symbol(at: $0) } }
}

extension LeakReport: CustomStringConvertible {
  /// The message, and the stack below it, a line for each frame.
  public var description: String {
    symbols.reduce(message) { "\($0)\n    \($1)" } + (lost > 0 ? "\n    (\(lost) reports before it were lost)" : "")
  }
}

extension LeakReport {
  init(_ raw: leakprofile_report) {
    func text<Chars>(_ chars: Chars) -> String {
      unsafe withUnsafeBytes(of: chars) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    message = text(raw.message)
    resource = text(raw.resource)
    descriptor = raw.fd < 0 ? nil : raw.fd
    stack = unsafe withUnsafeBytes(of: raw.stack) {
      unsafe Array($0.bindMemory(to: UInt64.self).prefix(Int(raw.depth)))
    }
    lost = Int(clamping: raw.lost)
  }
}
