// SPDX-License-Identifier: Apache-2.0
// Sends one journal entry, so that a test can have it sent from another mount namespace than its own.
//
// Each argument is NAME=VALUE. Prints `sent`, or why not, and then waits for the end of its input: journald looks at a
// sender's process only after it has the entry, and finds nothing if that has ended by then.

import Glibc
import Systemd

@main
struct JournalSend {
  static func main() {
    let fields = CommandLine.arguments.dropFirst().map { argument in
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (name: String(parts[0]), value: parts.count > 1 ? String(parts[1]) : "")
    }
    do {
      try Journal.send(fields)
      print("sent")
    } catch {
      print(error)
    }
    // To a pipe it is buffered, and who waits for it would wait for ever.
    fflush(nil)
    while readLine() != nil {}
  }
}
