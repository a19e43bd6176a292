// SPDX-License-Identifier: Apache-2.0
// A server that tells the first line of the files that it is asked for, and forgets to close those that are empty.
// fdwatch reads who opened them without any configuration.

import Glibc
import LeakProfile

let files = Profile("file")

/// A file that is open for reading.
final class File: Sendable {
  let number: Int32

  @inline(never)
  init?(_ path: String) {
    number = unsafe open(path, O_RDONLY | O_CLOEXEC)
    if number < 0 { return nil }
    files.add(self, descriptor: number)
  }

  func close() {
    files.remove(self)
    Glibc.close(number)
  }

  func readLine() -> String? {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe read(number, &bytes, bytes.count)
    return count > 0 ? String(decoding: bytes[..<count].prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self) : nil
  }
}

/// What is kept: in a server, the sessions that forgot their file.
var forgotten: [File] = []

@inline(never) @MainActor
func firstLine(of path: String) -> String {
  guard let file = File(path) else { return "there is no \(path)" }
  guard let line = file.readLine() else {
    forgotten.append(file)
    return "\(path) is empty"
  }
  file.close()
  return line
}

while let path = readLine() {
  print(firstLine(of: path))
  fflush(nil)
}
