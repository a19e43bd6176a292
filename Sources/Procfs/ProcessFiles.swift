// SPDX-License-Identifier: Apache-2.0
// The small files of a process: stat, status, limits. Reading and parsing are two functions. See proc(5).

import Descriptors

/// What `/proc/<pid>/stat` tells of a process that matters here.
package struct ProcessStat: Equatable, Sendable {
  /// `R S D Z T t X I`.
  package var state: Character
  /// Clock ticks between boot and the start of the process: with the pid it names a process for good.
  package var startTime: UInt64
  package var threads: Int
  /// `PF_…` of the kernel's include/linux/sched.h.
  package var flags: UInt64
  package var parent: Int32
  /// The number of the pseudoterminal that is its controlling terminal.
  package var terminal: UInt64?

  package init(state: Character, startTime: UInt64, threads: Int, flags: UInt64 = 0, parent: Int32 = 0) {
    self.flags = flags
    self.parent = parent
    self.state = state
    self.startTime = startTime
    self.threads = threads
  }

  /// Parses the file. The name in parentheses may hold anything, parentheses and newlines too: what counts begins
  /// behind the last one.
  package init(stat text: [UInt8]) throws(ProcfsError) {
    guard let close = text.lastIndex(of: UInt8(ascii: ")")) else { throw .malformed("stat", text[...]) }
    let fields = words(text[(close + 1)...].filter { $0 != UInt8(ascii: "\n") }[...])
    // The field after the name is number 3 in proc(5): flags are 9, threads 20, the start time is 22.
    guard fields.count > 19, let state = fields[0].first, let threads = fields[17].signed,
      let start = fields[19].unsigned(), let flags = fields[6].unsigned()
    else { throw .malformed("stat", text[...]) }
    self.init(
      state: Character(Unicode.Scalar(state)), startTime: start, threads: Int(clamping: threads), flags: flags,
      parent: fields[1].signed.flatMap(Int32.init(exactly:)) ?? 0)
    terminal = fields[4].signed.flatMap(UInt32.init(exactly:)).flatMap(Self.pseudoterminal)
  }

  /// Majors 136 to 143, and the encoding of device numbers: proc_pid_stat(5).
  private static func pseudoterminal(_ device: UInt32) -> UInt64? {
    let major = (device >> 8) & 0xfff
    guard (136...143).contains(major) else { return nil }
    return UInt64(major - 136) << 8 | UInt64(device & 0xff) | UInt64(device >> 12 & 0xfff00)
  }

  /// It is on its way out, and has one thread at most to go: `PF_EXITING`.
  package var isExiting: Bool { flags & 4 != 0 && threads <= 1 }

  /// `PF_KTHREAD`.
  package var isKernelThread: Bool { flags & 0x20_0000 != 0 }

  /// It has exited: nothing runs any more.
  package var hasExited: Bool { state == "X" || (state == "Z" && threads <= 1) }
}

/// What `/proc/<pid>/status` tells that `stat` does not.
package struct ProcessStatus: Equatable, Sendable {
  /// The effective user.
  package var user: UInt32
  /// The real user: whose limits on processes and inotify instances count.
  package var realUser: UInt32
  /// Room in the descriptor table. 0 once an exiting process has let go of it.
  package var tableSize: Int

  package init(status text: [UInt8]) throws(ProcfsError) {
    var users: (real: UInt32, effective: UInt32)?
    var size: Int?
    for line in lines(text[...]) {
      if let rest = line.after("Uid:") {
        let numbers = words(rest).compactMap { $0.unsigned().flatMap(UInt32.init(exactly:)) }
        if numbers.count >= 2 { users = (numbers[0], numbers[1]) }
      } else if let rest = line.after("FDSize:") {
        size = rest.trimmed.unsigned().flatMap(Int.init(exactly:))
      }
    }
    guard let users, let size else { throw .malformed("status", text.prefix(80)) }
    (user, realUser, tableSize) = (users.effective, users.real, size)
  }
}

extension Limits {
  /// Parses `/proc/<pid>/limits`: the line `Max open files  SOFT  HARD  files`.
  package init(limits text: [UInt8]) throws(ProcfsError) {
    for line in lines(text[...]) {
      guard let rest = line.after("Max open files ") else { continue }
      let fields = words(rest)
      guard fields.count >= 2, let soft = Limits.value(fields[0]), let hard = Limits.value(fields[1]) else {
        throw .malformed("limits", line)
      }
      self.init(soft: soft, hard: hard)
      return
    }
    throw .malformed("limits", text.prefix(80))
  }

  private static func value(_ word: ArraySlice<UInt8>) -> UInt64? {
    word.elementsEqual("unlimited".utf8) ? .max : word.unsigned()
  }
}

extension ProcfsError {
  static func malformed(_ file: String, _ line: ArraySlice<UInt8>) -> ProcfsError {
    .malformed(file: file, line: line.prefix(200).text)
  }
}
