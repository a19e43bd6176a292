// SPDX-License-Identifier: Apache-2.0
// What reads foreign files: the built helper, and what it uses, in this process.

import Linux
import Parsing
import Pprof
import Procfs
import Symbols

extension Parser {
  /// Runs the built program as its helper.
  package static func built() -> Parser {
    let program = Products.executable("fdwatch")
    return Parser { .program(program) }
  }
}

extension ProcessKey {
  /// Of a process that lives.
  package init(living pid: Int32) throws {
    let procfs = try Procfs()
    self.init(pid: pid, startTime: try ProcessDirectory(pid: pid, in: procfs).startTime)
  }
}

extension Symbolizer {
  /// With the files that a process has mapped, as the helper is given them.
  package convenience init(pid: Int32) throws {
    self.init()
    let inputs = try ProcessInputs(ProcessKey(living: pid))
    let root = try inputs.root()
    for path in inputs.paths {
      if let file = inputs.open(path, below: root) { add(file, path: path) }
    }
  }

  /// The frames of a location of a profile.
  package func frames(of location: Profile.Location, in mappings: [Profile.Mapping]) -> [Profile.Frame] {
    let mapping =
      location.mapping.flatMap { mappings.indices.contains($0) ? mappings[$0] : nil }
      ?? mappings.first { $0.start <= location.address && location.address < $0.limit }
    return frames(at: location.address, in: mapping)
  }
}
