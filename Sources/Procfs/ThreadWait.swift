// SPDX-License-Identifier: Apache-2.0
// What threads sleep in: /proc/<pid>/task/<tid>/syscall. See proc_pid_syscall(5).

import Linux

/// What a thread waits for, as far as its system call and that call's first argument tell.
package enum ThreadWait: Sendable, Equatable {
  /// In epoll_wait(2) or one of its kin, on this instance.
  case events(Int32)
  /// In read(2), recv(2), accept(2), write(2) … of this descriptor.
  case transfer(Int32)
  /// In poll(2), select(2) or io_uring_enter(2): on several, which only its memory names.
  case several
  /// On something that is no descriptor: a lock, a child, a time.
  case nothing
  /// It runs, and may wait on any the next moment.
  case running

  /// - Parameter text: the file. Numbers of calls are those of this machine: of a process of another word size nothing is
  ///   understood, which at worst names a descriptor that no one asks about.
  package init(syscall text: [UInt8]) {
    let fields = words(text.prefix { $0 != UInt8(ascii: "\n") })
    guard let first = fields.first else {
      self = .running
      return
    }
    if first.elementsEqual("running".utf8) {
      self = .running
      return
    }
    guard let call = first.unsigned().flatMap(Int.init(exactly:)), fields.count >= 7,
      let argument = fields[1].after("0x")?.unsigned(radix: 16)
    else {
      self = .nothing
      return
    }
    // The upper half of an int's register may hold anything.
    let descriptor = Int32(truncatingIfNeeded: argument)
    if Self.eventCalls.contains(call) {
      self = .events(descriptor)
    } else if Self.transferCalls.contains(call) {
      self = .transfer(descriptor)
    } else if Self.severalCalls.contains(call) {
      self = .several
    } else {
      self = .nothing
    }
  }

  // The kernel's arch/x86/entry/syscalls/syscall_64.tbl, and include/uapi/asm-generic/unistd.h for all newer machines.
  #if arch(x86_64)
    /// epoll_wait, epoll_pwait, epoll_pwait2.
    private static let eventCalls = [232, 281, 441]
    /// read, write, pread64, readv, writev, accept, accept4, recvfrom, sendto, recvmsg, sendmsg, flock, preadv, recvmmsg.
    private static let transferCalls = [0, 1, 17, 19, 20, 43, 288, 45, 44, 47, 46, 73, 295, 299]
    /// poll, ppoll, select, pselect6, io_uring_enter.
    private static let severalCalls = [7, 271, 23, 270, 426]
  #else
    /// epoll_pwait, epoll_pwait2.
    private static let eventCalls = [22, 441]
    private static let transferCalls = [63, 64, 67, 65, 66, 202, 242, 207, 206, 212, 211, 32, 69, 243]
    /// ppoll, pselect6, io_uring_enter.
    private static let severalCalls = [73, 72, 426]
  #endif
}

extension ProcessDirectory {
  /// What its threads wait for, of so many at most; and how many there are. Takes the right to trace it.
  package func threadWaits(most: Int) throws(ProcfsError) -> (waits: [ThreadWait], threads: Int) {
    let tasks = try openDirectory("task")
    var numbers: [Int32] = []
    try tasks.reading("task") { (tasks: borrowing NumberedDirectory) throws(SystemCallError) in
      try tasks.list(into: &numbers)
    }
    var waits: [ThreadWait] = []
    for number in numbers.prefix(most) {
      do throws(ProcfsError) {
        waits.append(ThreadWait(syscall: try contents(of: "task/\(number)/syscall")))
      } catch .gone {
        continue
      }
    }
    return (waits, numbers.count)
  }
}
