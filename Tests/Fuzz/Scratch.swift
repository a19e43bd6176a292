// SPDX-License-Identifier: Apache-2.0
// Files for decoders that read files: in memory, one folder for each run.

import Glibc
import Linux

enum Scratch {
  static let folder: String = {
    let path = "/dev/shm/fdwatch-fuzz.\(getpid())"
    make(path)
    atexit { Files.removeTree(Scratch.folder) }
    return path
  }()

  static func make(_ path: String) {
    do { try Files.makeFolder(path) } catch { fatalError("\(path): \(error)") }
  }

  /// Writes a file below ``folder``, whose folder is there.
  @discardableResult static func write(_ bytes: [UInt8], to name: String) -> String {
    let path = "\(folder)/\(name)"
    do { try Host.write(bytes, to: path) } catch { fatalError("\(path): \(error)") }
    return path
  }
}

extension Files {
  fileprivate static func removeTree(_ path: String) {
    for name in names(in: path) where name != "." && name != ".." {
      if unlink("\(path)/\(name)") != 0 { removeTree("\(path)/\(name)") }
    }
    rmdir(path)
  }
}
