// SPDX-License-Identifier: Apache-2.0
// Names by pattern. See glob(3).

import Glibc

package enum Glob {
  /// The paths that a pattern names, sorted. Folders that cannot be read are passed over.
  package static func paths(_ pattern: String) -> [String] {
    var found = unsafe glob_t()
    defer { unsafe globfree(&found) }
    guard unsafe glob(pattern, 0, nil, &found) == 0 else { return [] }
    return unsafe (0..<Int(found.gl_pathc)).compactMap { index in
      unsafe found.gl_pathv[index].map { unsafe String(cString: $0) }
    }
  }
}
