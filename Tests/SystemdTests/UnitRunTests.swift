// SPDX-License-Identifier: Apache-2.0
// Which run of a unit it is, and whose session, by what systemd leaves in files.

import Foundation
import Systemd
import TestSupport
import Testing

@Suite struct `A run of a unit` {
  @Test func `is told from others by the link that the manager keeps`() throws {
    let folder = try TemporaryDirectory()
    let link = folder.path + "/invocation:web.service"
    func run() -> UInt64? { Unit.run(of: "web.service", in: folder.path) }
    #expect(run() == nil)
    let files = FileManager.default
    try files.createSymbolicLink(atPath: link, withDestinationPath: "22a2d3ea037e484d84347f5d9453eb38")
    #expect(run() == 0x22a2_d3ea_037e_484d)
    try files.removeItem(atPath: link)
    try files.createSymbolicLink(atPath: link, withDestinationPath: "37ce0b2c215f46868688c81e91748582")
    #expect(run() == 0x37ce_0b2c_215f_4686)
    for nonsense in ["x", "short", String(repeating: "g", count: 32), "../../../../etc/passwd"] {
      try files.removeItem(atPath: link)
      try files.createSymbolicLink(atPath: link, withDestinationPath: nonsense)
      #expect(run() == nil, "\(nonsense)")
    }
  }

  @Test func `of a user's own manager is that user's`() {
    #expect(Unit.sessionUser(of: 1, unit: "user@1000.service") == 1000)
    #expect(Unit.sessionUser(of: 1, unit: "web.service") == nil)
    #expect(Unit.sessionUser(of: 1, unit: nil) == nil)
    // As far as the process still tells.
    #expect(Unit.sessionUser(of: 0x3fff_ffff, unit: "session-3.scope") == nil)
  }
}
