// SPDX-License-Identifier: Apache-2.0
// What a user without rights is told.

import TestSupport
import Testing

@Suite(.enabled(if: Machine.canRunAsNobody, "takes root, setpriv(1), and a build that others may read"))
struct `A user without rights` {
  private let nobody: UInt32 = 65534

  @Test(arguments: [["--once"], ["--for", "1s"], ["--format", "json"]])
  func `is told which capability is missing, for which process`(options: [String]) throws {
    let child = try FDFactory()
    let outcome = try BuiltBinary.run(options + ["\(child.pid)"], user: nobody)
    #expect(outcome.status == .exited(2))
    #expect(outcome.errors.contains("may not look into process \(child.pid) (fdfactory, user root)"))
    #expect(outcome.errors.contains("It takes CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE: run as root"))
    #expect(outcome.output.isEmpty, "what cannot be seen was shown all the same")
  }

  @Test func `looks into processes of his own`() throws {
    let child = try FDFactory()
    try child.drop(to: nobody)
    try child.open("eventfd", 2)
    let outcome = try BuiltBinary.run(["--once", "\(child.pid)"], user: nobody)
    #expect(outcome.status == .exited(0) && outcome.output.contains("\n5 of "))
  }

  @Test func `is refused his own if they are not dumpable`() throws {
    let child = try FDFactory()
    try child.drop(to: nobody)
    try child.makeUndumpable()
    let outcome = try BuiltBinary.run(["--once", "\(child.pid)"], user: nobody)
    #expect(outcome.status == .exited(2) && outcome.output.isEmpty)
    #expect(outcome.errors.contains("CAP_SYS_PTRACE"))
  }

  @Test(.enabled(if: Machine.hasMountNamespaces, "takes a mount namespace"))
  func `is told that hidepid may hide a process`() throws {
    let child = try FDFactory()
    let hide = ["unshare", "-m", "sh", "-c", "mount -t proc -o hidepid=2 proc /proc && exec \"$0\" \"$@\""]
    let hidden = try BuiltBinary.run(["--once", "\(child.pid)"], user: nobody, launcher: hide)
    #expect(hidden.status == .exited(2) && hidden.output.isEmpty)
    #expect(hidden.errors.contains("no process \(child.pid) that we may see (/proc hides those of others"))
    #expect(hidden.errors.contains("CAP_SYS_PTRACE"))
    // root sees it.
    #expect(try BuiltBinary.run(["--once", "\(child.pid)"], launcher: hide).status == .exited(0))
  }
}
