// SPDX-License-Identifier: Apache-2.0
// What rules ask of a process.

/// Facts of one process. What is not known is `nil`, and fits no pattern.
///
/// Each costs a read or two: ``Configuration/factsAsked`` says which are worth it.
package struct ProcessFacts: Sendable, Equatable {
  package enum Name: Sendable, CaseIterable {
    case unit, cgroup, user, exe, comm, cmdline
  }

  package var pid: Int32
  package var unit: String?
  package var cgroup: String?
  package var user: String?
  package var uid: UInt32?
  package var exe: String?
  package var comm: String?
  package var cmdline: String?

  package init(
    pid: Int32, unit: String? = nil, cgroup: String? = nil, user: String? = nil, uid: UInt32? = nil,
    exe: String? = nil, comm: String? = nil, cmdline: String? = nil
  ) {
    self.pid = pid
    self.unit = unit
    self.cgroup = cgroup
    self.user = user
    self.uid = uid
    self.exe = exe
    self.comm = comm
    self.cmdline = cmdline
  }
}
