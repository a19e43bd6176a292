// SPDX-License-Identifier: Apache-2.0
// What stands in a directory, by name. See readdir(3).

import CLinux
import Glibc

extension Descriptor {
  /// The names of all entries of a directory, without `.` and `..`, in no order.
  package static func names(in path: String) throws(SystemCallError) -> [String] {
    guard let directory = unsafe opendir(path) else { throw .last("opendir") }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = unsafe readdir(directory) else {
        if errno != 0 { throw .last("readdir") }
        return names.filter { $0 != "." && $0 != ".." }
      }
      names.append(
        unsafe withUnsafeBytes(of: &entry.pointee.d_name) { name in
          unsafe String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
        })
    }
  }
}
