// SPDX-License-Identifier: Apache-2.0
// Starting children: the C functions of CTestSupport as Swift ones.

import CTestSupport
import Glibc
import Linux

func makePipe() throws -> (read: CInt, write: CInt) {
  var ends: [CInt] = [-1, -1]
  guard unsafe support_pipe(&ends) == 0 else { throw SystemCallError("pipe2", errno: errno) }
  return (ends[0], ends[1])
}

func openTerminal(rows: Int, columns: Int) throws -> (descriptor: CInt, name: String) {
  var name = [CChar](repeating: 0, count: 128)
  let descriptor = unsafe support_open_terminal(CInt(rows), CInt(columns), &name, UInt(name.count))
  guard descriptor >= 0 else { throw SystemCallError("posix_openpt", errno: errno) }
  return (descriptor, String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
}

/// Starts a child.
/// - Parameters:
///   - standard: descriptors that become 0, 1 and 2.
///   - terminal: the path of a terminal that it opens as all three instead, in a session of its own.
func spawn(
  _ command: [String], environment: [String: String], workingDirectory: String?, standard: [CInt], terminal: String?
) throws -> Int32 {
  let words: [UnsafeMutablePointer<CChar>?] = unsafe command.map { unsafe strdup($0) } + [nil]
  let variables: [UnsafeMutablePointer<CChar>?] = unsafe environment.map { unsafe strdup("\($0)=\($1)") } + [nil]
  defer { unsafe (words + variables).forEach { unsafe free($0) } }
  let directory = unsafe workingDirectory.map { unsafe strdup($0) } ?? nil
  let terminal = unsafe terminal.map { unsafe strdup($0) } ?? nil
  defer {
    unsafe free(directory)
    unsafe free(terminal)
  }
  var pid: CInt = 0
  let error = unsafe support_spawn(&pid, words, variables, directory, standard, terminal)
  if error != 0 { throw SystemCallError("posix_spawn \(command[0])", errno: error) }
  return pid
}
