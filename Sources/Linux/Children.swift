// SPDX-License-Identifier: Apache-2.0
// Child processes: started, waited for, ended with all that they have started.

import CLinux
import Glibc

/// A user to run as. See getpwnam(3), getgrouplist(3).
package struct HostUser: Sendable, Equatable {
  package var user: UInt32
  package var group: UInt32
  package var groups: [UInt32]

  /// By name or number; `nil` where there is none.
  package init?(named name: String) {
    var (user, group) = (UInt32.max, UInt32.max)
    var groups = [UInt32](repeating: 0, count: 256)
    let count = unsafe fdwatch_find_user(name, &user, &group, &groups, CInt(groups.count))
    guard count >= 0 else { return nil }
    (self.user, self.group, self.groups) = (user, group, Array(groups.prefix(Int(count))))
  }
}

/// A command as a child process, with a supervisor in between that ends whatever the command has left running.
package struct ChildProcess: Sendable {
  /// Of the supervisor.
  package let pid: Int32

  /// Starts one: `arguments[0]` is the path of what is executed. Its standard input holds `input`; both outputs come to
  /// `output`. It gets no other descriptor of ours, and no environment but the one given.
  package init(
    _ arguments: [String], environment: [String], input: [UInt8], output: borrowing Descriptor, user: HostUser? = nil
  ) throws(SystemCallError) {
    let memory = Descriptor(
      owning: try retrying("memfd_create") { unsafe fdwatch_memory_file("fdwatch-event", input, input.count) })
    let (inputNumber, outputNumber) = (memory.number, output.number)
    let child = unsafe withCStringArrays(arguments, environment) { argv, envp in
      unsafe fdwatch_spawn(
        argv, envp, inputNumber, outputNumber, user?.user ?? .max, user?.group ?? .max, user?.groups ?? [],
        CInt(user?.groups.count ?? 0))
    }
    if child < 0 { throw .last("execve") }
    pid = child
  }

  /// Its exit code, or 128 and the number of the signal that ended it; `nil` while it runs.
  package func exitCode() -> Int32? {
    var status: CInt = 0
    switch unsafe fdwatch_reap(pid, &status) {
    case 0: return nil
    case 1: return status
    default: return 127
    }
  }

  /// Asks the command and all of its group to end, or ends them and all that they have started.
  package func end(byForce: Bool) { kill(pid, byForce ? fdwatch_END_BY_FORCE : fdwatch_END) }
}

/// Arguments and environment as execve(2) takes them: each an array that NULL ends.
func withCStringArrays(
  _ arguments: [String], _ environment: [String],
  _ body: ([UnsafePointer<CChar>?], [UnsafePointer<CChar>?]) -> CInt
) -> CInt {
  let argv = unsafe arguments.map { unsafe UnsafePointer(strdup($0)) } + [nil]
  let envp = unsafe environment.map { unsafe UnsafePointer(strdup($0)) } + [nil]
  defer { unsafe (argv + envp).forEach { unsafe free(UnsafeMutablePointer(mutating: $0)) } }
  return unsafe body(argv, envp)
}

/// A pipe: what is written to one end is read from the other, which does not block.
package struct Pipe: ~Copyable {
  package let reading: Descriptor
  package let writing: Descriptor

  package init() throws(SystemCallError) {
    var numbers: [CInt] = [-1, -1]
    _ = try retrying("pipe2") { unsafe fdwatch_pipe(&numbers) }
    reading = Descriptor(owning: numbers[0])
    writing = Descriptor(owning: numbers[1])
  }

  /// Keeps the end that is read and closes the other.
  package consuming func intoReading() -> Descriptor { reading }
}
