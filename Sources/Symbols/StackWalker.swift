// SPDX-License-Identifier: Apache-2.0
// From a copied stack to the addresses of its calls.

import CElfutils
import Linux
import Pprof

/// Walks stacks of one process by what its files say of their frames (`.eh_frame`), or by frame pointers where they say
/// nothing. To be used where ``Symbolizer`` is: in a process of its own.
@safe
package final class StackWalker {
  private let unwinder: OpaquePointer

  init?() {
    guard let made = unsafe fdwatch_unwinder_new() else { return nil }
    unsafe unwinder = made
  }

  deinit { unsafe fdwatch_unwinder_free(unwinder) }

  func add(_ file: consuming Descriptor, _ mapping: Profile.Mapping) {
    let number = file.release()
    _ = unsafe mapping.file.withCString {
      unsafe fdwatch_unwinder_add(unwinder, number, $0, mapping.start, mapping.offset)
    }
  }

  /// Innermost first.
  /// - Parameters:
  ///   - registers: 17, as DWARF numbers them.
  ///   - stack: what stood above the stack pointer.
  package func addresses(_ registers: [UInt64], _ stack: [UInt8], most: Int) -> [UInt64] {
    guard registers.count == Int(FDWATCH_UNWIND_REGISTERS), most > 0 else { return [] }
    var found = [UInt64](repeating: 0, count: most)
    let count = unsafe fdwatch_unwinder_walk(unwinder, registers, stack, stack.count, &found, most)
    return Array(found.prefix(count))
  }
}

extension Symbolizer {
  /// Walks stacks by the files that were added, each where it is mapped first. `nil` where there is no libdw.
  package func walker(of mappings: [Profile.Mapping]) -> StackWalker? {
    guard let walker = StackWalker() else { return nil }
    var seen: Set<String> = []
    for mapping in mappings where seen.insert(mapping.file).inserted {
      if let copy = duplicate(mapping.file) { walker.add(copy, mapping) }
    }
    return walker
  }
}
