// SPDX-License-Identifier: Apache-2.0
// A file that holds the number of a process.

import Linux

package enum PidFile {
  /// The number on the first line, or `nil` where there is no such file, or something else in it.
  package static func pid(in path: String) -> Int32? {
    guard let file = try? Descriptor(regularFile: path), let bytes = try? file.contents(limit: 4096) else { return nil }
    let line = bytes.prefix { $0 != UInt8(ascii: "\n") }
    let words = String(decoding: line, as: UTF8.self).split(whereSeparator: \.isWhitespace)
    guard words.count == 1, let pid = Int32(words[0]), pid > 0 else { return nil }
    return pid
  }
}
