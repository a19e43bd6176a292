// SPDX-License-Identifier: Apache-2.0
// Profiles as producers write them.

import Foundation
import Pprof
import Testing

func fixture(_ name: String) throws -> [UInt8] {
  let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures")
  return Array(try Data(contentsOf: folder.appendingPathComponent(name)))
}

@Suite struct `Reading a profile` {
  @Test func `of Go as it is served, with its inlined frames and its mapping`() throws {
    let profile = try Profile(decoding: fixture("go1.19.pb.gz"))
    #expect(profile.sampleTypes == [.init(type: "file", unit: "count")])
    #expect(profile.total(0) == 30)
    #expect(profile.mappings.first?.file == "/tmp/goleak")
    let stacks = profile.stackCounts()
    #expect(
      stacks.first
        == Profile.StackCount(
          frames: [
            "main.work /srv/goleak/main.go:67", "main.main.func2 /srv/goleak/main.go:135",
            "main.every.func1 /srv/goleak/main.go:77",
          ], count: 15))
    #expect(stacks.map(\.count) == [15, 9, 6])
  }

  @Test func `of Go that has no descriptor left to read its own mappings with`() throws {
    let stacks = try Profile(decoding: fixture("go1.19-emfile.pb.gz")).stackCounts()
    #expect(stacks.map(\.count) == [14, 11, 6])
    #expect(stacks.map { $0.frames[0].prefix(10) } == ["main.leakA", "main.leakB", "main.work "])
  }

  @Test func `as text tells the same stacks as the message`() throws {
    let text = try Profile(decoding: fixture("go1.19.txt"))
    let message = try Profile(decoding: fixture("go1.19.pb.gz"))
    #expect(Set(text.stackCounts().map(\.frames)) == Set(message.stackCounts().map(\.frames)))
    #expect(text.sampleTypes == message.sampleTypes)
    // One file was opened between the two.
    #expect(text.total(0) == 29)
  }

  /// In the text inlined frames have addresses of their own, and `goexit` has one without a line.
  @Test func `of goroutines, as text and as message`() throws {
    let text = try Profile(decoding: fixture("go1.19-goroutine.txt"))
    let message = try Profile(decoding: fixture("go1.19-goroutine.pb.gz"))
    #expect(text.total(0) == message.total(0))
    let sleeping = try #require(message.stackCounts().first { $0.frames.contains { $0.hasPrefix("time.Sleep ") } })
    // Go hides the frames of its runtime in the text.
    #expect(text.stackCounts().contains { sleeping.frames.suffix(2) == $0.frames.suffix(2)[...] })
  }

  /// As a newer Go writes it: start_line, column and doc_url, which are to be stepped over or kept.
  @Test func `with fields that came later`() throws {
    var wire = Wire()
    wire.message(11) {
      $0.number(1, 1); $0.number(2, 2)
    }
    wire.number(12, 1)
    wire.message(1) {
      $0.number(1, 1); $0.number(2, 2)
    }
    wire.message(4) { location in
      location.number(1, 1)
      location.number(3, 0x1234)
      location.message(4) {
        $0.number(1, 1); $0.number(2, 17); $0.number(3, 9)
      }
      location.number(5, 1)
    }
    wire.message(5) {
      $0.number(1, 1); $0.number(2, 3); $0.number(3, 3); $0.number(4, 4); $0.number(5, 12)
    }
    wire.message(2) {
      $0.packed(1, [1]); $0.packed(2, [5])
    }
    wire.number(9, 1_700_000_000_000_000_000)
    wire.number(15, 5)
    wire.block(77, [1, 2, 3])
    wire.bytes += Wire.varint(78 << 3 | 5) + [1, 2, 3, 4] + Wire.varint(79 << 3 | 1) + [0, 0, 0, 0, 0, 0, 0, 0]
    wire.strings(["", "file", "count", "store.Open", "/src/store.go", "https://example.com/doc"])
    let profile = try Profile(decoding: wire.bytes)
    #expect(profile.docURL == "https://example.com/doc")
    #expect(profile.stackCounts().map(\.frames) == [["store.Open /src/store.go:17"]])
  }

  /// As Rust's pprof crate writes it: locations numbered like functions, no addresses, no mappings, CPU time beside counts.
  @Test func `of Rust, without addresses`() throws {
    var wire = Wire()
    wire.message(1) {
      $0.number(1, 1); $0.number(2, 2)
    }
    wire.message(1) {
      $0.number(1, 3); $0.number(2, 4)
    }
    wire.message(2) { sample in
      sample.packed(1, [1, 2])
      sample.packed(2, [7, 70_000_000])
      sample.message(3) {
        $0.number(1, 8); $0.number(2, 9)
      }
    }
    for id: UInt64 in [1, 2] {
      wire.message(4) { location in
        location.number(1, id)
        location.message(4) {
          $0.number(1, id); $0.number(2, 10 * id)
        }
      }
      wire.message(5) {
        $0.number(1, id); $0.number(2, 4 + id); $0.number(3, 4 + id); $0.number(4, 7)
      }
    }
    wire.message(11) {
      $0.number(1, 3); $0.number(2, 4)
    }
    wire.strings([
      "", "samples", "count", "cpu", "nanoseconds", "app::open", "app::main", "src/main.rs", "thread", "w1",
    ])
    let profile = try Profile(decoding: wire.bytes)
    #expect(profile.countIndex == 0)
    #expect(profile.total(1) == 70_000_000)
    #expect(profile.labels(ofSample: 0) == [.init("thread", .text("w1"))])
    #expect(profile.stackCounts().first?.frames == ["app::open src/main.rs:10", "app::main src/main.rs:20"])
  }

  /// As a Swift recorder writes it: plain, functions only, ids that do not count from 1, numbers one by one.
  @Test func `with functions only, and ids of any kind`() throws {
    var wire = Wire()
    wire.strings(["", "descriptors", "count", "App.open()"])
    wire.message(5) {
      $0.number(1, 1 << 60); $0.number(2, 3)
    }
    wire.message(4) { location in
      location.number(1, 99)
      location.message(4) { $0.number(1, 1 << 60) }
    }
    wire.message(2) { sample in
      sample.number(1, 99)
      sample.number(2, 4)
      sample.message(3) {
        $0.number(1, 4); $0.number(3, 17)
      }
      sample.message(3) {
        $0.number(1, 4); $0.number(3, 18)
      }
    }
    wire.message(1) {
      $0.number(1, 1); $0.number(2, 2)
    }
    wire.strings(["fd"])
    let stacks = try Profile(decoding: wire.bytes).stackCounts()
    #expect(stacks == [.init(frames: ["App.open()"], count: 4, descriptors: [17, 18])])
  }

  @Test(arguments: [
    (["alloc_objects/count", "alloc_space/bytes", "inuse_objects/count", "inuse_space/bytes"], 2),
    (["contentions/count", "delay/nanoseconds"], 0), (["space/bytes", "objects/count"], 1), (["cpu/nanoseconds"], 0),
  ])
  func `counts by the type that counts what is there`(types: [String], expected: Int) {
    let builder = ProfileBuilder(
      sampleTypes: types.map {
        let words = $0.split(separator: "/").map(String.init)
        return .init(type: words[0], unit: words[1])
      })
    #expect(builder.finish().countIndex == expected)
  }

  @Test func `of gperftools, with the libraries it has mapped`() throws {
    let text = """
      heap profile:     12:   49152 [    40:   163840] @ heap_v2/1
           10:    40960 [    30:   122880] @ 0x00401136 0x00401160 0x7f0000001000
            2:     8192 [    10:    40960] @ 0x00401200

      MAPPED_LIBRARIES:
      00400000-00402000 r-xp 00000000 fe:00 1234   /usr/bin/app
      7f0000000000-7f0000010000 r-xp 00001000 fe:00 99   /usr/lib/libc.so.6
      7f0000010000-7f0000020000 rw-p 00001000 fe:00 99   /usr/lib/libc.so.6

      """
    let profile = try Profile(decoding: Array(text.utf8))
    #expect(profile.sampleTypes.map(\.type) == ["inuse_objects", "inuse_space"])
    #expect(profile.mappings.map(\.file) == ["/usr/bin/app", "/usr/lib/libc.so.6"])
    #expect(profile.stackCounts().first?.frames == ["0x401135", "0x40115f", "0x7f0000000fff"])
    #expect(profile.location(2).mapping == 1)
    #expect(profile.total(profile.countIndex) == 12)
  }

  /// What the file leak detector of Java programs serves.
  @Test func `of a Java program, trace by trace`() throws {
    let trace = """
      \tat java.base/java.io.FileInputStream.<init>(FileInputStream.java:159)
      \tat com.example.Upload.read(Upload.java:42)
      \tat com.example.Main.run(Native Method)

      """
    let text =
      "3 descriptors are open\n#1 /srv/a by thread:main on Tue Nov 24 04:00:00 UTC 2026\n\(trace)"
      + "#2 /srv/b by thread:w-1 on Tue Nov 24 04:00:01 UTC 2026\n\(trace)"
      + "#3 socket to db:5432 by thread:w-2 on Tue Nov 24 04:00:02 UTC 2026\n\tat com.example.Pool.open(Pool.java:7)\n"
    let stacks = try Profile(decoding: Array(text.utf8)).stackCounts()
    #expect(stacks.map(\.count) == [2, 1])
    #expect(stacks[0].frames[1] == "com.example.Upload.read Upload.java:42")
    #expect(stacks[1].frames == ["com.example.Pool.open Pool.java:7"])
  }

  @Test func `whose names hold what they like`() throws {
    let text = "my profile: total 3 profile: total 2\n2 @ 0x1\n#\t0x0\tf+g+0x12\ta:b:7\n\n"
    let profile = try Profile(decoding: Array(text.utf8))
    #expect(profile.sampleTypes[0].type == "my profile: total 3")
    #expect(profile.stackCounts().first?.frames == ["f+g a:b:7"])
  }
}
