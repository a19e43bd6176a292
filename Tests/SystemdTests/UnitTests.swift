// SPDX-License-Identifier: Apache-2.0
// The unit of a process, from its place in the cgroup hierarchy. No systemd needs to run for that.

import Systemd
import TestSupport
import Testing

@Suite struct `A unit's name` {
  @Test(arguments: [
    ("nginx", "nginx.service"), ("php8.2-fpm", "php8.2-fpm.service"), ("user.slice", "user.slice"),
    ("nginx.service", "nginx.service"), ("getty@tty1", "getty@tty1.service"),
  ]) func `is a service's unless it says otherwise`(name: String, unit: String) {
    #expect(Unit.named(name) == unit)
  }
}

@Suite struct `The unit of a process` {
  @Test(
    .enabled(if: CgroupUnit.isUsable, "needs root and a writable cgroup2 hierarchy"),
    arguments: ["plain", "templated@instance", "with\\x2descape"])
  func `is the one that its cgroup says`(name: String) throws {
    let unit = try CgroupUnit("fdwatch-test-\(name).service")
    let factory = try FDFactory()
    try unit.add(factory.pid)
    #expect(Unit.name(of: factory.pid) == unit.name)
  }

  @Test(.enabled(if: CgroupUnit.isUsable, "needs root and a writable cgroup2 hierarchy"))
  func `is none outside of all units`() throws {
    let factory = try FDFactory()
    try CgroupUnit.leave(factory.pid)
    #expect(Unit.name(of: factory.pid) == nil)
  }

  @Test func `is none once it has exited`() throws {
    let factory = try FDFactory()
    let pid = factory.pid
    try factory.exit()
    #expect(Unit.name(of: pid) == nil)
  }

  @Test(arguments: [-1, Int32.max]) func `is none for a number that no process has`(pid: Int32) {
    #expect(Unit.name(of: pid) == nil)
  }
}
