// SPDX-License-Identifier: Apache-2.0
// Paths below a root that is not ours.

import Foundation
import Linux
import TestSupport
import Testing

@Suite struct `A path below another root` {
  private let directory: TemporaryDirectory
  private var root: String { directory.path + "/root" }

  init() throws {
    directory = try TemporaryDirectory()
    let files = FileManager.default
    try files.createDirectory(atPath: directory.path + "/root/etc", withIntermediateDirectories: true)
    try files.createDirectory(atPath: directory.path + "/etc", withIntermediateDirectories: true)
    for (place, text) in [("/root/etc/name", "inside"), ("/etc/name", "outside")] {
      try Data(text.utf8).write(to: URL(fileURLWithPath: directory.path + place))
    }
    for (link, target) in [
      ("absolute", "/etc/name"), ("up", "../../../../../../etc/name"), ("folder", "/etc"),
      ("host", directory.path + "/etc/name"), ("magic", "/proc/self/root"),
    ] {
      try files.createSymbolicLink(atPath: root + "/" + link, withDestinationPath: target)
    }
  }

  private func read(_ path: String) throws -> String {
    let root = try Descriptor(path: root)
    return String(decoding: try Descriptor(path: path, inRoot: root, .reading).contents(limit: 100), as: UTF8.self)
  }

  @Test(arguments: ["/etc/name", "etc/name", "/absolute", "/up", "/folder/name", "/../etc/name", "/etc/../../etc/name"])
  func `never leads out of it`(path: String) throws {
    #expect(try read(path) == "inside")
  }

  @Test func `is not there where only our root has it`() throws {
    #expect(throws: SystemCallError("openat2", errno: ENOENT)) { try read("/host") }
    #expect(throws: SystemCallError("openat2", errno: ENOENT)) { try read("/magic/etc/name") }
  }

  @Test func `follows no link into a process`() throws {
    // Below our own root /proc is there: its links to descriptors and roots lead anywhere.
    let root = try Descriptor(path: "/")
    #expect(throws: SystemCallError("openat2", errno: ELOOP)) {
      _ = try Descriptor(path: "/proc/self/root/etc", inRoot: root).number
    }
    #expect(throws: SystemCallError("openat2", errno: ELOOP)) {
      _ = try Descriptor(path: "/proc/self/exe", inRoot: root).number
    }
  }

  @Test func `is followed to a link only if that is wanted`() throws {
    let root = try Descriptor(path: root)
    let link = try Descriptor(path: "/absolute", inRoot: root, followingLinks: false)
    #expect(try link.state().type == .link)
  }
}
