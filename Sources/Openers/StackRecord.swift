// SPDX-License-Identifier: Apache-2.0
// A stack as the program in the kernel copied it. The layout is that of COpeners/bpf/record.h.

import Parsing

package struct StackRecord: Sendable, Equatable {
  /// What its return addresses come to, as far as they were compared; never 0.
  package var fingerprint: UInt64
  /// The number of the system call.
  package var call: UInt32
  package var stack: CopiedStack

  private static let head = 200
  /// Where DWARF's registers stand in `struct pt_regs`: rax rdx rcx rbx rsi rdi rbp rsp r8 … r15 rip.
  private static let order = [10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16]

  /// `nil` for what is none.
  package init?(_ bytes: [UInt8]) {
    guard bytes.count >= Self.head else { return nil }
    func number(_ place: Int, _ width: Int) -> UInt64 {
      (0..<width).reversed().reduce(0) { $0 << 8 | UInt64(bytes[place + $1]) }
    }
    let stackBytes = Int(number(192, 4))
    guard stackBytes <= bytes.count - Self.head, stackBytes <= CopiedStacks.mostStackBytes else { return nil }
    fingerprint = number(8, 8)
    guard fingerprint != 0 else { return nil }
    call = UInt32(number(20, 4))
    stack = CopiedStack(
      registers: Self.order.map { number(24 + 8 * $0, 8) }, bytes: Array(bytes[Self.head..<Self.head + stackBytes]))
  }
}

/// Which addresses may lie in code: by blocks of 64 KiB, modulo 4 GiB, as the program in the kernel knows them.
package struct CodeBlocks: Sendable {
  private var isCode = [Bool](repeating: false, count: 1 << 16)

  package init() {}

  package mutating func add(_ range: Range<UInt64>) {
    guard !range.isEmpty else { return }
    let (first, last) = (range.lowerBound >> 16, (range.upperBound - 1) >> 16)
    for block in first...min(last, first + 0xffff) { isCode[Int(block & 0xffff)] = true }
  }

  func contains(_ address: UInt64) -> Bool { address >> 47 == 0 && isCode[Int(address >> 16 & 0xffff)] }

  /// All of a stack that may be return addresses, and where they stand: what tells two stacks apart.
  func digest(_ stack: CopiedStack) -> Int {
    var hasher = Hasher()
    for place in stride(from: 0, to: stack.bytes.count - 7, by: 8) {
      var word: UInt64 = 0
      for index in (0..<8).reversed() { word = word << 8 | UInt64(stack.bytes[place + index]) }
      if word >> 16 != 0, contains(word) {
        hasher.combine(place)
        hasher.combine(word)
      }
    }
    return hasher.finalize()
  }
}
