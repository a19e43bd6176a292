// SPDX-License-Identifier: Apache-2.0
// What is wrong with a configuration, and where.

import Descriptors

/// A mistake in a configuration file, or something in one that has no effect.
package struct ConfigProblem: Sendable, Equatable {
  package var path: String
  /// From 1; 0 where the file as a whole is meant.
  package var line: Int
  package var column: Int
  /// What is wrong; what is expected.
  package var message: String
  /// An error refuses the whole configuration; a warning does not.
  package var isError: Bool

  package init(path: String, line: Int, column: Int, message: String, isError: Bool) {
    self.path = path
    self.line = line
    self.column = column
    self.message = message
    self.isError = isError
  }
}

extension ConfigProblem: CustomStringConvertible {
  /// `/etc/fdwatch/fdwatch.toml:3:12: interval cannot be "soon"; expected a time from "250ms" to "1h"`.
  package var description: String {
    let place = line > 0 ? ":\(line):\(column)" : ""
    return "\(path.printable)\(place): \(isError ? "" : "warning: ")\(message)"
  }
}

/// A problem of which only the file is not known.
struct Mistake {
  var place: Place
  var message: String
  var isError = true

  static func warning(_ place: Place, _ message: String) -> Mistake {
    Mistake(place: place, message: message, isError: false)
  }
}
