// SPDX-License-Identifier: Apache-2.0
// What may not be seen is refused, and never counted as 0. In processes of their own, which become another user.

import Descriptors
import Glibc
import Linux
import Procfs
import TestSupport
import Testing

/// `nobody`, by its usual number.
private let nobody: UInt32 = 65534

private func become(_ user: UInt32) throws {
  guard setgid(user) == 0, setuid(user) == 0 else {
    throw TestFailure("cannot become user \(user)")
  }
}

@Suite(.enabled(if: Machine.isRoot, "only root can become another user")) struct `Another user's process` {
  @Test func `is refused and says which capabilities are missing`() async {
    await #expect(processExitsWith: .success) {
      let child = try FDFactory()
      try child.open("file", 2)
      try become(nobody)
      var watched = try Watched(child)
      let missing: [Capability] = [.dacReadSearch, .sysPtrace]
      #expect(watched.failure() == .denied(file: "fd", missing: missing))
      #expect(throws: ProcfsError.denied(file: "fd", missing: missing)) { try watched.directory.checkAccess() }
      #expect("\(ProcfsError.denied(file: "fd", missing: missing))".contains("CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE"))
      let listed = try Watched(child, counting: .byListing)
      #expect(throws: ProcfsError.denied(file: "fd", missing: missing)) { try listed.directory.count() }
    }
  }

  @Test(.enabled(if: Machine.countsBySize, "the size of fd/ says nothing before Linux 6.2"))
  func `is counted all the same where the kernel tells the size`() async {
    await #expect(processExitsWith: .success) {
      let child = try FDFactory()
      try child.open("file", 2)
      try become(nobody)
      #expect(try Watched(child).directory.count() == 5)
    }
  }

  @Test func `that has become ours is open to us`() async {
    await #expect(processExitsWith: .success) {
      let child = try FDFactory()
      try child.drop(to: nobody)
      let number = try child.openOne("eventfd")
      try become(nobody)
      var watched = try Watched(child)
      try watched.directory.checkAccess()
      #expect(try watched.census()[number]?.kind == .eventfd)
    }
  }

  @Test func `that is ours but not dumpable is refused`() async {
    await #expect(processExitsWith: .success) {
      let child = try FDFactory()
      try child.drop(to: nobody)
      try child.open("eventfd", 2)
      try child.makeUndumpable()
      try become(nobody)
      var watched = try Watched(child)
      guard case .denied(_, missing: [.dacReadSearch, .sysPtrace])? = watched.failure() else {
        Issue.record("not refused")
        return
      }
    }
  }
}
