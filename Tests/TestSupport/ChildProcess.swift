// SPDX-License-Identifier: Apache-2.0
// A child of the tests, with pipes or on a pseudoterminal. Waits for what the child does, never for a time.

import CTestSupport
import Glibc
import Linux

/// A child process. It is ended and collected with this object.
package final class ChildProcess {
  package let pid: Int32
  /// Our ends: of its standard input, output and error. On a terminal the first two are the same, and there is no third.
  private var input: CInt
  private var streams: [CInt]
  private var received: [[UInt8]]
  private let exit: ExitHandle
  private var status: ExitStatus?

  /// So long may a child say nothing before the test is given up: no test expects it to be reached.
  private static let patience: CInt = 300_000

  package enum ExitStatus: Equatable, Sendable {
    case exited(Int32)
    case killed(signal: Int32)
  }

  /// What a child leaves.
  package struct Outcome: Sendable {
    package var status: ExitStatus
    package var outputBytes: [UInt8]
    package var errorBytes: [UInt8]
    package var output: String { String(decoding: outputBytes, as: UTF8.self) }
    package var errors: String { String(decoding: errorBytes, as: UTF8.self) }
  }

  /// - Parameters:
  ///   - command: the executable and its arguments; looked up in `PATH` if it has no slash.
  ///   - terminal: its size, if it shall run on one.
  ///   - givenInput: becomes its standard input, and stays the caller's, too.
  package init(
    _ command: [String], environment: [String: String] = ChildProcess.plainEnvironment,
    workingDirectory: String? = nil, terminal: (rows: Int, columns: Int)? = nil, givenInput: CInt? = nil
  ) throws {
    Self.ignoresBrokenPipes
    var far: [CInt] = []
    // A terminal is opened by the child itself: that makes it the one that controls it.
    var terminalName: String?
    if let terminal {
      let primary = try openTerminal(rows: terminal.rows, columns: terminal.columns)
      (input, streams, terminalName) = (primary.descriptor, [primary.descriptor], primary.name)
    } else {
      let (toChild, fromChild, errors) = try (makePipe(), makePipe(), makePipe())
      (input, streams, far) = (
        toChild.write, [fromChild.read, errors.read], [toChild.read, fromChild.write, errors.write]
      )
    }
    received = streams.map { _ in [] }
    defer { for descriptor in far { close(descriptor) } }
    let standard = givenInput.map { [$0] + far.dropFirst() } ?? far
    pid = try spawn(
      command, environment: environment, workingDirectory: workingDirectory, standard: standard, terminal: terminalName)
    exit = try ExitHandle(pid: pid)
  }

  deinit {
    closeInput()
    // Closed input ends a factory; what does not heed it is ended otherwise.
    if status == nil {
      var waiting = pollfd(fd: exit.number, events: Int16(POLLIN), revents: 0)
      if unsafe poll(&waiting, 1, streams.count == 1 ? 0 : 5_000) == 0 { kill(pid, SIGKILL) }
      _ = waitpid(pid, nil, 0)
    }
    for descriptor in streams where descriptor >= 0 { close(descriptor) }
  }

  /// What a user's shell gives, as far as it matters here.
  package static let plainEnvironment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TERM": "xterm"]

  /// A child that has died must fail its test, and not end all of them.
  private static let ignoresBrokenPipes: Void = { _ = signal(SIGPIPE, SIG_IGN) }()

}

extension ChildProcess {
  package func write(_ text: String) throws { try Terminal.write(text, to: input) }

  package func closeInput() {
    guard input >= 0, streams.count > 1 else { return }
    close(input)
    input = -1
  }

  package func send(_ signal: Int32) { kill(pid, signal) }

  /// Stops it, and returns when it stands still.
  package func stopAndWait() throws {
    kill(pid, SIGSTOP)
    var raw: CInt = 0
    while unsafe waitpid(pid, &raw, WUNTRACED) < 0 {
      if errno != EINTR { throw SystemCallError("waitpid", errno: errno) }
    }
  }

  /// Whether standard output has something to read, or has ended.
  package var hasOutput: Bool {
    if !received[0].isEmpty { return true }
    var wait = pollfd(fd: streams[0], events: Int16(POLLIN), revents: 0)
    return unsafe poll(&wait, 1, 0) > 0
  }

  /// Everything on standard output (or painted on the terminal) so far.
  package var output: String { String(decoding: received[0], as: UTF8.self) }
  package var outputBytes: [UInt8] { received[0] }

  /// The next line of standard output, taken away, without its end. `nil` once it is closed.
  package func readLine() throws -> String? {
    var searched = 0
    while true {
      if let end = received[0][searched...].firstIndex(of: UInt8(ascii: "\n")) {
        defer { received[0].removeSubrange(...end) }
        return String(decoding: received[0][..<end], as: UTF8.self)
      }
      searched = received[0].count
      if try !receive() { return nil }
    }
  }

  /// Reads standard output until what came in since the last call satisfies `isEnough`. Nothing is taken away.
  package func read(from start: Int = 0, until isEnough: (String) -> Bool) throws {
    let deadline = Instant.now + .milliseconds(Int(Self.patience))
    while !isEnough(String(decoding: received[0][min(start, received[0].count)...], as: UTF8.self)) {
      // A child that says always the same would be listened to for ever.
      if Instant.now > deadline {
        throw TestFailure("it never comes; the last was: \(output.suffix(500).debugDescription)")
      }
      if try !receive() { throw TestFailure("the output ended with: \(output.suffix(500).debugDescription)") }
    }
  }

  /// Reads until what is on standard error satisfies `isEnough`. Nothing is taken away.
  package func readErrors(until isEnough: (String) -> Bool) throws {
    while received.count < 2 || !isEnough(String(decoding: received[1], as: UTF8.self)) {
      if try !receive() { throw TestFailure("it ended with: \(output.suffix(500).debugDescription)") }
    }
  }

  /// Reads all there is until the child has closed everything, and collects it.
  package func finish() throws -> Outcome {
    while try receive() {}
    var raw: CInt = 0
    while unsafe waitpid(pid, &raw, 0) < 0 {
      if errno != EINTR { throw SystemCallError("waitpid", errno: errno) }
    }
    let signal = raw & 0x7f
    let found: ExitStatus = signal == 0 ? .exited((raw >> 8) & 0xff) : .killed(signal: signal)
    status = found
    return Outcome(status: found, outputBytes: received[0], errorBytes: received.count > 1 ? received[1] : [])
  }

  /// Takes in what comes next on any stream. `false` once all are closed.
  private func receive() throws -> Bool {
    var waits = streams.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    if streams.allSatisfy({ $0 < 0 }) { return false }
    let ready = unsafe poll(&waits, nfds_t(waits.count), Self.patience)
    if ready < 0, errno == EINTR { return true }
    if ready == 0 { throw TestFailure("the child says nothing any more; the last was: \(output.suffix(500))") }
    for (index, wait) in waits.enumerated() where wait.revents != 0 {
      var chunk = [UInt8](repeating: 0, count: 1 << 16)
      let got = unsafe Glibc.read(wait.fd, &chunk, chunk.count)
      if got > 0 {
        received[index] += chunk.prefix(got)
      } else if got == 0 || errno != EINTR {
        // A terminal whose last user has gone says EIO.
        close(wait.fd)
        streams[index] = -1
      }
    }
    return true
  }

  /// Changes the size of its terminal; the kernel then sends SIGWINCH.
  package func resize(rows: Int, columns: Int) throws {
    guard support_resize_terminal(input, CInt(rows), CInt(columns)) == 0 else {
      throw SystemCallError("ioctl", errno: errno)
    }
  }
}
