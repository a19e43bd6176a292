// SPDX-License-Identifier: Apache-2.0
// fdwatch report "…": a line to the daemon, from any script.

import ArgumentParser
import CLeakProfile
import Glibc
import Linux

struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Report to the daemon that something was not closed.",
    discussion: """
      Sends one datagram to /run/fdwatch/report.sock, or to where FDWATCH_REPORT_SOCKET says. Who sent it is what the \
      kernel says: this process, which waits until the daemon has taken it, a second at most. Exits with 0 if it was sent, \
      with 2 if there is no daemon, or one that cannot take more.
      """
  )

  @Argument(help: "What happened, such as 'os.File /x: missing close', or a JSON object with \"message\".")
  var message: String

  /// What the daemon takes in.
  private static let longest = 8192

  func validate() throws {
    if message.isEmpty { throw ValidationError("An empty message says nothing.") }
    if message.utf8.count > Self.longest {
      throw ValidationError("The message has \(message.utf8.count) bytes; at most \(Self.longest) are sent.")
    }
  }

  func run() throws {
    // The kernel queues some ten datagrams (net.unix.max_dgram_qlen): others may have filled the queue just now.
    let deadline = Instant.now + .seconds(1)
    repeat {
      if unsafe leakprofile_report_line(message) == 0 { return }
      if errno != EAGAIN { break }
      _ = try? Readiness.wait([], until: .now + .milliseconds(5))
      errno = EAGAIN
    } while Instant.now < deadline
    complain("not reported: \(SystemCallError("sendto", errno: errno).reason). Is the daemon running?")
    throw ExitCode(2)
  }
}
