// SPDX-License-Identifier: Apache-2.0
// Who is blamed, in a process whose openings and snapshots are drawn at random.

import Attribution
import Descriptors
import Detection
import Testing

/// Opens descriptors from several places, keeps some, and is asked for its profile now and then.
private struct Process {
  struct Site {
    var name: String
    /// Leaked, and opened to be closed, per second.
    var leaks = 0.0
    var load = 0.0
    var lifetime = 3.0
    /// From when on it leaks.
    var from = 0.0
  }

  private var random: Seeded
  private var leaked: [[Double]]
  private var live: [[(born: Double, dies: Double)]]
  let sites: [Site]
  var history = ProfileHistory()
  private(set) var time = 0.0

  init(_ sites: [Site], seed: UInt64) {
    (self.sites, random) = (sites, Seeded(state: seed))
    leaked = sites.map { _ in [] }
    live = sites.map { _ in [] }
  }

  private struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var value = state
      value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
      value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
      return value ^ (value >> 31)
    }
  }

  mutating func run(until end: Double, snapshotEvery pause: Double, scale: Int = 1) {
    let step = 0.05
    var nextSnapshot = time
    while time < end {
      if time >= nextSnapshot {
        snapshot(scale: scale)
        nextSnapshot += pause
      }
      for (index, site) in sites.enumerated() {
        if time >= site.from, Double.random(in: 0..<1, using: &random) < site.leaks * step {
          leaked[index].append(time)
        }
        if Double.random(in: 0..<1, using: &random) < site.load * step {
          live[index].append((time, time - site.lifetime * .random(in: 0.1..<2, using: &random) * -1))
        }
        live[index].removeAll { $0.dies < time }
      }
      time += step
    }
    snapshot(scale: scale)
  }

  private mutating func snapshot(scale: Int) {
    let stacks = sites.indices.map {
      StackCount(frames: [sites[$0].name, "main.main"], count: (leaked[$0].count + live[$0].count) * scale)
    }
    history.add(ProfileSnapshot(name: "file", stacks: stacks), at: .milliseconds(Int64(time * 1000)))
  }

  /// The members of a class into which these sites open.
  func members(_ opening: [Int], settledBefore: Double = 17) -> LeakMembers {
    let opened = opening.flatMap { leaked[$0] + live[$0].map(\.born) }.sorted()
    return LeakMembers(
      kind: .file,
      members: opened.enumerated().map { .init(number: Int32($0 + 10), opened: .milliseconds(Int64($1 * 1000))) },
      settled: .milliseconds(Int64((time - settledBefore) * 1000)))
  }

  var open: Int { 20 + leaked.reduce(0) { $0 + $1.count } + live.reduce(0) { $0 + $1.count } }
}

private func share(_ blame: Blame?, _ name: String) -> Double {
  blame?.stacks.first { $0.culprit == name }?.share ?? 0
}

@Suite struct `Who is blamed` {
  @Test(arguments: 1...40 as ClosedRange<UInt64>) func `is the one that leaks, and not the one that works`(seed: UInt64)
  {
    var process = Process(
      [
        .init(name: "main.leak", leaks: 0.5), .init(name: "main.work", load: 6),
        .init(name: "main.other", load: 1, lifetime: 8),
      ],
      seed: seed)
    process.run(until: 100, snapshotEvery: 5)
    let blame = process.history.blame(process.members([0, 1, 2]), open: process.open)
    #expect(blame?.stacks.first?.culprit == "main.leak")
    #expect(share(blame, "main.leak") >= 0.95, "\(String(describing: blame))")
    #expect(share(blame, "main.work") + share(blame, "main.other") < 0.05)
  }

  @Test(arguments: 1...40 as ClosedRange<UInt64>) func `are both, of two that leak into one class, with their shares`(
    seed: UInt64
  ) {
    var process = Process(
      [.init(name: "main.a", leaks: 1.5), .init(name: "main.b", leaks: 0.5), .init(name: "main.work", load: 5)],
      seed: seed)
    process.run(until: 120, snapshotEvery: 5)
    let blame = process.history.blame(process.members([0, 1, 2]), open: process.open)
    #expect(abs(share(blame, "main.a") - 0.75) < 0.12 && abs(share(blame, "main.b") - 0.25) < 0.12)
    #expect(share(blame, "main.a") + share(blame, "main.b") >= 0.95, "\(String(describing: blame))")
  }

  /// Two classes leak at once, at the same rate: only when each grew tells them apart.
  @Test(arguments: 1...40 as ClosedRange<UInt64>) func `is told apart for two leaks at once`(seed: UInt64) {
    var process = Process(
      [
        .init(name: "main.files", leaks: 0.7), .init(name: "main.sockets", leaks: 0.7),
        .init(name: "main.work", load: 4),
      ],
      seed: seed)
    process.run(until: 150, snapshotEvery: 6)
    let files = process.history.blame(process.members([0, 2]), open: process.open)
    let sockets = process.history.blame(process.members([1]), open: process.open)
    #expect(share(files, "main.files") > 0.7 && share(sockets, "main.sockets") > 0.7)
  }

  @Test func `is whoever holds the survivors, where the process tells their numbers`() {
    var history = ProfileHistory()
    let stacks = [
      StackCount(frames: ["main.leak"], count: 4, descriptors: [10, 11, 12, 13]),
      StackCount(frames: ["main.busy"], count: 90, descriptors: Array(100..<190)),
      StackCount(frames: ["main.also"], count: 1, descriptors: [14]),
    ]
    history.add(ProfileSnapshot(name: "file", stacks: stacks), at: .seconds(60))
    let members = (10..<15).map { LeakMembers.Member(number: $0, opened: .seconds(Int64($0))) }
    let young = (100..<190).map { LeakMembers.Member(number: $0, opened: .seconds(59)) }
    let blame = history.blame(LeakMembers(kind: .file, members: members + young, settled: .seconds(50)), open: 200)
    #expect(blame?.isExact == true)
    #expect(blame?.stacks.map(\.culprit) == ["main.leak", "main.also"])
    #expect(share(blame, "main.leak") == 0.8)
  }

  @Test func `is whoever holds the older ones, while none has survived for sure`() {
    var history = ProfileHistory()
    let stacks = [
      StackCount(frames: ["main.leak"], count: 40, descriptors: Array(10..<50)),
      StackCount(frames: ["main.busy"], count: 12, descriptors: Array(100..<112)),
    ]
    history.add(ProfileSnapshot(name: "file", stacks: stacks), at: .seconds(10))
    let old = (10..<50).map { LeakMembers.Member(number: $0, opened: .milliseconds(200 * Int64($0 - 10))) }
    let young = (100..<112).map { LeakMembers.Member(number: $0, opened: .seconds(9)) }
    // Opened after the snapshot.
    let new = (200..<206).map { LeakMembers.Member(number: $0, opened: .seconds(11)) }
    let blame = history.blame(LeakMembers(kind: .file, members: old + young + new, settled: .seconds(-1)), open: 70)
    #expect(share(blame, "main.leak") == 1)
  }

  @Test func `is nobody, where the profile counts something else`() {
    var process = Process([.init(name: "main.leak", leaks: 1)], seed: 5)
    process.run(until: 60, snapshotEvery: 5, scale: 40)
    let blame = process.history.blame(process.members([0]), open: process.open)
    #expect(blame?.stacks == [])
    #expect(blame?.remark?.contains("counts something else") == true)
  }

  @Test func `is nobody, where the profile does not grow with the leak`() {
    var process = Process(
      [.init(name: "main.leak", leaks: 1), .init(name: "main.tracked", leaks: 0.05, load: 5)], seed: 6)
    process.run(until: 90, snapshotEvery: 5)
    var history = ProfileHistory()
    // What leaks is not in the profile at all.
    for time in stride(from: 0, through: 90, by: 10) {
      history.add(
        ProfileSnapshot(name: "file", stacks: [.init(frames: ["main.tracked"], count: 7 + time % 3)]),
        at: .seconds(time))
    }
    let blame = history.blame(process.members([0]), open: process.open)
    #expect(blame?.stacks == [])
    #expect(blame?.remark?.contains("accounts for") == true)
  }

  @Test func `is told by the profile that fits best, and by a witness only for want of one`() {
    var process = Process([.init(name: "main.leak", leaks: 1)], seed: 9)
    process.run(until: 80, snapshotEvery: 5)
    let members = process.members([0])
    var history = process.history
    var onlyWitness = ProfileHistory()
    for time in stride(from: 0, through: 80, by: 5) {
      let open = members.members.count { $0.opened <= .seconds(time) }
      let waiting = ProfileSnapshot(
        name: "goroutine", isWitness: true,
        stacks: [.init(frames: ["net.(*conn).Read /usr/lib/go-1.19/src/net/net.go:183", "main.serve"], count: open)])
      let twice = ProfileSnapshot(name: "objects", stacks: [.init(frames: ["main.New"], count: open * 2)])
      for profile in [waiting, twice] { history.add(profile, at: .seconds(time)) }
      onlyWitness.add(waiting, at: .seconds(time))
    }
    #expect(history.blame(members, open: 400)?.profile == "file")
    let witness = onlyWitness.blame(members, open: 400)
    #expect(witness?.isWitness == true)
    #expect(witness?.stacks.first?.culprit == "main.serve")
  }

  @Test func `rests on less where there are two snapshots only, which is said`() {
    var process = Process([.init(name: "main.leak", leaks: 1)], seed: 11)
    process.run(until: 60, snapshotEvery: 100)
    let blame = process.history.blame(process.members([0]), open: process.open)
    #expect(blame?.remark == "by two snapshots only")
    #expect(share(blame, "main.leak") >= 0.95)
  }

  @Test func `is remembered in bounded memory`() {
    var history = ProfileHistory()
    for time in 0..<300 {
      let stacks = (0..<3000).map { StackCount(frames: ["f\(time)-\($0)"], count: 3000 - $0) }
      if time % 30 == 0 { history.add(ProfileSnapshot(name: "file", stacks: stacks), at: .seconds(time)) }
    }
    for number in 0..<50 {
      history.add(ProfileSnapshot(name: "p\(number)", stacks: [.init(frames: ["x"], count: 9)]), at: .seconds(400))
    }
    let members = LeakMembers(
      kind: .file, members: (0..<50).map { .init(number: $0, opened: .seconds(Int64($0))) }, settled: .seconds(300))
    #expect(history.blame(members, open: 5000)?.profile.hasPrefix("p4") == false, "later profiles are not kept")
  }
}

@Suite struct `The frame that is named` {
  @Test(arguments: [
    (
      [
        "os.OpenFile /usr/lib/go-1.19/src/os/file.go:326", "main.openTracked /src/main.go:23",
        "main.leak /src/main.go:9",
      ], 1
    ),
    (["net.(*Dialer).DialContext", "database/sql.(*DB).conn", "example.com/store.Dial /home/x/store.go:88"], 2),
    (["github.com/lib/pq.Open /root/go/pkg/mod/github.com/lib/pq@v1/conn.go:3", "example.com/a.B /a/b.go:1"], 1),
    (["std::fs::File::open", "app::store::open src/store.rs:12"], 1),
    (["java.io.FileInputStream.open0", "com.example.Upload.read"], 1),
    (["libc.so.6+0x10f3a1", "openat", "store_open /src/store.c:4"], 2),
    (["0x401136", "runtime.main"], 0),
    // Nobody: what starts a program opens nothing, and neither does what calls C for an interpreter.
    (["__libc_start_call_main", "__libc_start_main@@GLIBC_2.34", "_start"], 3),
    (["libc.so.6+0x2724a", "libc.so.6+0x27305", "server+0x1080"], 2),
    (["start_thread", "clone3"], 2),
    (["ffi_call_unix64", "ffi_call", "_ctypes_callproc", "PyCFuncPtr_call", "_PyEval_EvalFrameDefault", "app.c"], 5),
  ]) func `is the innermost of the program's own`(frames: [String], expected: Int) {
    #expect(FrameFilter().own(frames) == expected)
  }

  @Test func `is the call site in the profile's name where the stack is an interpreter's`() {
    let stack = ["ffi_call_unix64", "ffi_call", "_ctypes_callproc", "_PyEval_EvalFrameDefault", "_start"]
    let (frames, own) = FrameFilter().named(stack, in: "file first_line server.py:57")
    #expect(frames == ["first_line server.py:57"] + stack && own == 0)
    // A frame of the program's own says more, and a name without a call site says nothing.
    #expect(FrameFilter().named(stack + ["app_main /src/app.c:3"], in: "file x y:1").own == 5)
    #expect(FrameFilter().named(["_start"], in: "file") == (["_start"], 1))
    #expect(Blame.Stack(frames: ["_start"], own: 1, share: 1).culprit == "no stack")
  }

  @Test func `is not a wrapper that was named`() {
    let frames = ["main.openTracked /src/main.go:23", "store.(*Pool).Get /src/pool.go:7", "main.leak /src/main.go:9"]
    #expect(FrameFilter(skipping: ["main.openTracked", "*/pool.go:*"]).own(frames) == 2)
  }
}
