// SPDX-License-Identifier: Apache-2.0
// Stacks as they were copied from a process, on their way to the helper.

import Pprof

/// What stood in a thread's registers, and above its stack pointer.
package struct CopiedStack: Sendable, Equatable {
  /// As DWARF numbers those of x86-64, and the address of the instruction.
  package var registers: [UInt64]
  package var bytes: [UInt8]
  /// What an interpreter ran meanwhile, in its own words, innermost first.
  package var interpreted: [String]

  package static let registerCount = 17

  package init(registers: [UInt64], bytes: [UInt8], interpreted: [String] = []) {
    (self.registers, self.bytes, self.interpreted) = (registers, bytes, interpreted)
  }
}

package enum CopiedStacks {
  /// Descriptors that were opened where stacks were alike, as far as was compared.
  package struct Group: Sendable, Equatable {
    /// More than one where they may differ farther out.
    package var copies: [CopiedStack]
    package var descriptors: [Int32]

    package init(copies: [CopiedStack], descriptors: [Int32]) {
      (self.copies, self.descriptors) = (copies, descriptors)
    }
  }

  /// Of all in one job: five hundred of 16 KiB, and some.
  package static let mostBytes = 12 << 20
  /// Of one stack.
  package static let mostStackBytes = 16 << 10
  package static let mostCopies = 4
  static let mostInterpreted = AnswerLimits.frames

  /// As many of them, the first ones, as there is room for.
  /// - Returns: also how many descriptors the others hold.
  package static func encoded(_ groups: [Group]) -> (bytes: [UInt8], others: Int) {
    var writer = WireWriter()
    var others = 0
    for group in groups {
      var part = WireWriter()
      part.write(group.descriptors.count)
      for number in group.descriptors { part.write(Int(number)) }
      let copies = group.copies.prefix(mostCopies)
      part.write(copies.count)
      for copy in copies {
        for index in 0..<CopiedStack.registerCount {
          part.write(index < copy.registers.count ? copy.registers[index] : 0)
        }
        part.write(min(copy.interpreted.count, mostInterpreted))
        for frame in copy.interpreted.prefix(mostInterpreted) { part.write(frame.cut(to: AnswerLimits.frame)) }
        let bytes = Array(copy.bytes.prefix(mostStackBytes))
        part.write(bytes.count)
        part.append(bytes)
      }
      if writer.bytes.count + part.bytes.count > mostBytes {
        others += group.descriptors.count
      } else {
        writer.append(part)
      }
    }
    return (writer.bytes, others)
  }

  package static func decoded(_ bytes: [UInt8]) throws(WireError) -> [Group] {
    guard bytes.count <= mostBytes else { throw WireError() }
    var reader = WireReader(bytes)
    var groups: [Group] = []
    while !reader.isAtEnd {
      var group = Group(copies: [], descriptors: [])
      for _ in 0..<(try reader.number(0...reader.left)) {
        group.descriptors.append(Int32(try reader.number(0...Int(Int32.max))))
      }
      for _ in 0..<(try reader.number(0...mostCopies)) {
        var copy = CopiedStack(registers: [], bytes: [])
        for _ in 0..<CopiedStack.registerCount { copy.registers.append(try reader.number()) }
        for _ in 0..<(try reader.number(0...mostInterpreted)) {
          copy.interpreted.append(try reader.text(AnswerLimits.frame))
        }
        copy.bytes = try reader.bytes(mostStackBytes)
        group.copies.append(copy)
      }
      groups.append(group)
    }
    return groups
  }
}
