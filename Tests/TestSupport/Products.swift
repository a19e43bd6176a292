// SPDX-License-Identifier: Apache-2.0
// Where the build put what the tests run.

import Foundation

/// What was built beside the running tests.
package enum Products {
  /// The directory of the running test bundle: `swift test` puts all products there.
  package static let directory: String = {
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    return (own as NSString).deletingLastPathComponent
  }()

  /// The path of a built executable.
  package static func executable(_ name: String) -> String { directory + "/" + name }
}

/// A directory of one test's own, removed with it.
package final class TemporaryDirectory {
  package let path: String

  package init() throws {
    var template = (NSTemporaryDirectory() as NSString).appendingPathComponent("fdwatch-tests-XXXXXX").utf8CString
    let made = unsafe template.withUnsafeMutableBufferPointer {
      unsafe $0.baseAddress.flatMap { unsafe mkdtemp($0) } != nil
    }
    guard made else { throw TestFailure("no temporary directory") }
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// What went wrong in the tests' own machinery, and not in what they test.
package struct TestFailure: Error, CustomStringConvertible {
  package var description: String

  package init(_ description: String) { self.description = description }
}
