// SPDX-License-Identifier: Apache-2.0
// What a unit itself has logged, through libsystemd. See sd_journal_get_data(3).

import CSystemd
import Glibc
import Linux

/// Looks through a unit's own log for what programs say when they run out of descriptors, or drop one unclosed.
package struct JournalReader: Sendable {
  /// Words that say so, lower case. The list grows as runtimes do.
  package static let telling = [
    "too many open files", "unclosed file", "unclosed <socket", "unclosed transport", "unclosed client session",
    "closing file descriptor", "leak:", "accept error", "emfile", "resourcewarning",
  ]

  package var words: [String]
  /// Folders to read instead of the system's.
  package var directory: String?

  package init(words: [String] = JournalReader.telling, directory: String? = nil) {
    (self.words, self.directory) = (words, directory)
  }

  /// A busy log is not read to its end.
  private static let mostEntries = 2000
  private static let longest = 300
  /// Whoever asks has other things to do than to wait for a slow disk.
  private static let patience = Duration.milliseconds(300)

  /// The latest lines that hold one of the words, oldest first; none where the journal cannot be read.
  /// - Parameters:
  ///   - since: seconds since 1970.
  ///   - most: how many lines.
  package func lines(of unit: String, since: Double, most: Int = 3) -> [String] {
    var journal: OpaquePointer?
    let opened =
      if let directory {
        unsafe sd_journal_open_directory(&journal, directory, 0)
      } else {
        unsafe sd_journal_open(&journal, CInt(SD_JOURNAL_LOCAL_ONLY))
      }
    guard opened >= 0, unsafe journal != nil else { return [] }
    defer { unsafe sd_journal_close(journal) }
    // A longer field is not what a person wrote.
    unsafe sd_journal_set_data_threshold(journal, 4096)
    let match = "_SYSTEMD_UNIT=\(unit)"
    guard unsafe sd_journal_add_match(journal, match, match.utf8.count) >= 0,
      unsafe sd_journal_seek_tail(journal) >= 0
    else { return [] }
    let oldest = UInt64(max(0, since) * 1e6)
    var found: [String] = []
    let deadline = Instant.now + Self.patience
    for _ in 0..<Self.mostEntries where found.count < most {
      if Instant.now > deadline { break }
      guard unsafe sd_journal_previous(journal) > 0 else { break }
      var time: UInt64 = 0
      guard unsafe sd_journal_get_realtime_usec(journal, &time) >= 0, time >= oldest else { break }
      if let text = unsafe message(journal), isTelling(text) { found.append(String(text.prefix(Self.longest))) }
    }
    return found.reversed()
  }

  private func isTelling(_ text: String) -> Bool {
    let text = text.lowercased()
    return words.contains { text.contains($0) }
  }

  private func message(_ journal: OpaquePointer?) -> String? {
    var data: UnsafeRawPointer?
    var size = 0
    guard unsafe sd_journal_get_data(journal, "MESSAGE", &data, &size) >= 0, size > 8 else { return nil }
    let text = unsafe String(decoding: UnsafeRawBufferPointer(start: data, count: size), as: UTF8.self)
    return String(text.dropFirst("MESSAGE=".count))
  }
}
