// SPDX-License-Identifier: Apache-2.0
// A file that a test writes, or has written.

import Foundation

/// A file in the temporary directory, removed with it.
package final class TemporaryFile {
  package let path = FileManager.default.temporaryDirectory.appendingPathComponent("fdwatch-\(UUID().uuidString)").path

  package init(_ bytes: Data? = nil) {
    if let bytes { _ = FileManager.default.createFile(atPath: path, contents: bytes) }
  }
  package convenience init(_ text: String) { self.init(Data(text.utf8)) }
  deinit { try? FileManager.default.removeItem(atPath: path) }

  package var bytes: Data { FileManager.default.contents(atPath: path) ?? Data() }
}
