// SPDX-License-Identifier: Apache-2.0
// A child that is our own program: it starts no others, and ends when it is told to.

import CLinux
import Glibc

package struct HelperProcess: Sendable {
  package let pid: Int32

  /// Starts one: `arguments[0]` is the path of what is executed. Its standard input is `input`, such as an end of a
  /// connection; both outputs come to `output`. It gets no other descriptor of ours, and no environment but the one given.
  package init(
    _ arguments: [String], environment: [String], input: borrowing Descriptor, output: borrowing Descriptor
  ) throws(SystemCallError) {
    let (inputNumber, outputNumber) = (input.number, output.number)
    let child = unsafe withCStringArrays(arguments, environment) { argv, envp in
      unsafe fdwatch_spawn_helper(argv, envp, inputNumber, outputNumber)
    }
    if child < 0 { throw .last("execve") }
    pid = child
  }

  /// Ends it, and waits until it has: that is a matter of its being scheduled.
  /// - Returns: 128 and the number of the signal that ended it, or its exit code where it was faster.
  @discardableResult package func endAndWait() -> Int32 {
    kill(pid, SIGKILL)
    var status: CInt = 0
    while true {
      switch unsafe fdwatch_reap(pid, &status) {
      case 0: usleep(1000)
      case 1: return status
      default: return 127
      }
    }
  }
}
