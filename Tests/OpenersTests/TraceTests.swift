// SPDX-License-Identifier: Apache-2.0
// Live programs that leak, traced by the kernel.

import Foundation
import Linux
import Openers
import Parsing
import Procfs
import TestSupport
import Testing

@Suite(.enabled(if: Tracing.obstacle == nil, "\(Tracing.reason)"))
struct `A process that is traced` {
  @Test func `has its leaks attributed to the functions that leak, in stripped C without frame pointers`() throws {
    let program = try LeakProgram()
    try program.withDirectory { directory in
      let trace = try OpenerTrace(directory)
      try program.run("leak 400 1")
      let survivors = try trace.survivors(directory, grace: .zero)
      let stacks = try program.stacks(trace, survivors)
      #expect(stacks.count("upload_save") == 300, "\(stacks)")
      #expect(stacks.count("session_begin") == 100)
      #expect(stacks.count("innocent") == 0)
      #expect(stacks.total == 400)
      for stack in stacks.stacks {
        let handle = try #require(stack.frames.firstIndex(of: "handle"), "\(stack.frames)")
        #expect(stack.frames[handle + 1] == "main")
        #expect(Set(stack.descriptors).count == stack.count)
      }
      #expect(trace.counts.openings == 800 && trace.counts.lost == 0)
      #expect(Set(trace.groups(of: survivors).map(\.call)) == ["openat", "socket"])
    }
  }

  @Test func `has nothing blamed on what opens and closes 200,000 times beside the leak`() throws {
    let program = try LeakProgram()
    try program.withDirectory { directory in
      let trace = try OpenerTrace(directory)
      for _ in 0..<40 {
        try program.run("leak 1 5000")
        trace.read(directory)
      }
      let stacks = try program.stacks(trace, trace.survivors(directory, grace: .zero))
      #expect(trace.counts.openings == 200_040)
      #expect(stacks.count("upload_save") == 40 && stacks.total == 40, "\(stacks)")
      #expect(trace.counts.lost == 0)
    }
  }

  @Test func `has the openings of threads that come and go`() throws {
    let program = try LeakProgram()
    try program.withDirectory { directory in
      let trace = try OpenerTrace(directory)
      try program.run("threads 100")
      let stacks = try program.stacks(trace, trace.survivors(directory, grace: .zero))
      #expect(stacks.count("upload_save") == 100 && stacks.total == 100, "\(stacks)")
      // One stack for all threads, and not one each: it is told by its depth below the thread's base.
      #expect(trace.counts.copies < 20, "\(trace.counts)")
    }
  }

  @Test func `has what was open before told as such`() throws {
    let program = try LeakProgram()
    try program.run("leak 8 0")
    try program.withDirectory { directory in
      let before = try directory.openNumbers()
      let trace = try OpenerTrace(directory)
      try program.run("leak 4 0")
      let survivors = try trace.survivors(directory, grace: .zero)
      #expect(survivors.before == before && before.count >= 3 + 8)
      #expect(survivors.opened.values.reduce(0) { $0 + $1.count } == 4)
    }
  }

  @Test func `has no opener blamed for a number that is open again unseen`() throws {
    let program = try LeakProgram()
    try program.withDirectory { directory in
      let trace = try OpenerTrace(directory)
      // 3 to 5, opened and closed; then a pair as 3 and 4, closed again once a descriptor has come in as 5.
      try program.run("leak 3 0")
      try program.run("close 3 5")
      try program.run("receive")
      let survivors = try trace.survivors(directory, grace: .zero)
      #expect(survivors.unseen == [5], "\(survivors)")
      #expect(survivors.opened.isEmpty)
    }
  }

  @Test func `has a number that was duplicated over another attributed to that`() throws {
    let program = try LeakProgram()
    try program.run("leak 1 0")
    try program.withDirectory { directory in
      let before = try directory.openNumbers()
      #expect(before.contains(3))
      let trace = try OpenerTrace(directory)
      try program.run("over 0 3")
      // Which changes nothing.
      try program.run("over 0 0")
      let survivors = try trace.survivors(directory, grace: .zero)
      #expect(survivors.before == before.filter { $0 != 3 })
      #expect(survivors.opened.values.map(\.self) == [[3]])
      #expect(trace.groups(of: survivors).map(\.call) == ["dup2"])
    }
  }

  @Test func `is noticed to execute another program`() throws {
    let program = try LeakProgram()
    try program.withDirectory { directory in
      let trace = try OpenerTrace(directory)
      #expect(!trace.wasReplaced)
      try program.process.write("exec\n")
      #expect(try program.process.readLine() == "again")
      #expect(trace.wasReplaced)
    }
  }

  @Test(.enabled(if: Machine.canRun("unshare", "--pid", "--fork", "true"), "needs a pid namespace"))
  func `may be in a pid namespace of its own`() throws {
    let program = try LeakProgram(within: ["unshare", "--pid", "--fork", "--kill-child"])
    try program.withDirectory { directory in
      #expect(try directory.innermostPid() != directory.pid)
      let trace = try OpenerTrace(directory)
      try program.run("leak 8 0")
      let stacks = try program.stacks(trace, trace.survivors(directory, grace: .zero))
      #expect(stacks.count("upload_save") == 6 && stacks.count("session_begin") == 2, "\(stacks)")
    }
  }

  @Test func `is not mistaken for another`() throws {
    let (program, other) = (try LeakProgram(), try LeakProgram())
    try program.withDirectory { directory in
      let trace = try OpenerTrace(directory)
      try other.run("leak 40 0")
      #expect(trace.counts.openings == 0)
    }
  }
}
