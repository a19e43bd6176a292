// SPDX-License-Identifier: Apache-2.0
// What must not be believed.

import Foundation
import Pprof
import Testing

@Suite struct `A hostile profile` {
  private func wire(_ build: (inout Wire) -> Void) -> [UInt8] {
    var wire = Wire()
    wire.message(1) {
      $0.number(1, 1); $0.number(2, 2)
    }
    wire.strings(["", "file", "count"])
    build(&wire)
    return wire.bytes
  }

  private func error(_ bytes: [UInt8], _ limits: ProfileLimits = ProfileLimits()) -> PprofError? {
    do throws(PprofError) {
      _ = try Profile(decoding: bytes, limits: limits)
      return nil
    } catch { return error }
  }

  @Test func `refers only to what is there`() {
    let noLocation = wire {
      $0.message(2) {
        $0.packed(1, [1]); $0.packed(2, [1])
      }
    }
    #expect("\(error(noLocation)!)".contains("location 1 is referred to"))
    let noFunction = wire {
      $0.message(4) {
        $0.number(1, 1); $0.message(4) { $0.number(1, 5) }
      }
    }
    #expect("\(error(noFunction)!)".contains("function 5 is referred to"))
    let noMapping = wire {
      $0.message(4) {
        $0.number(1, 1); $0.number(2, 3)
      }
    }
    #expect("\(error(noMapping)!)".contains("mapping 3 is referred to"))
    for field: UInt64 in 2...4 {
      let noString = wire {
        $0.message(5) {
          $0.number(1, 1); $0.number(field, 1 << 40)
        }
      }
      #expect("\(error(noString)!)".contains("of 3 is referred to"))
    }
    let noLabel = wire {
      $0.message(2) {
        $0.packed(2, [1]); $0.message(3) { $0.number(1, 9) }
      }
    }
    #expect("\(error(noLabel)!)".contains("string 9 of 3"))
    let twice = wire { for _ in 0..<2 { $0.message(5) { $0.number(1, 7) } } }
    #expect("\(error(twice)!)".contains("two functions have the id 7"))
    #expect("\(error(wire { $0.message(4) { $0.number(2, 0) } })!)".contains("a location has the id 0"))
    #expect("\(error(wire { $0.message(2) { $0.packed(2, [1, 2]) } })!)".contains("2 values for 1 sample types"))
  }

  @Test func `has limits, each of which says how to raise it`() {
    var limits = ProfileLimits()
    limits.samples = 3
    limits.depth = 4
    limits.stringBytes = 10
    limits.expandedBytes = 1000
    let samples = wire { for _ in 0..<4 { $0.message(2) { $0.packed(2, [1]) } } }
    #expect(error(samples, limits) == .tooLarge(limit: "samples", most: 3))
    let deep = wire {
      $0.message(4) { $0.number(1, 1) }
      $0.message(2) {
        $0.packed(1, [1, 1, 1, 1, 1]); $0.packed(2, [1])
      }
    }
    #expect(error(deep, limits) == .tooLarge(limit: "depth", most: 4))
    #expect(error(wire { $0.strings(["a name too long"]) }, limits) == .tooLarge(limit: "string", most: 10))
    #expect(
      error(wire { $0.block(99, [UInt8](repeating: 1, count: 2000)) }, limits)
        == .tooLarge(limit: "expanded", most: 1000))
    for name in ProfileLimits.names {
      #expect("\(PprofError.tooLarge(limit: name, most: 1))".contains("--profile-limit \(name)=N"))
    }
  }

  @Test func `may be small and expand to no end`() throws {
    let bomb = try gzip([UInt8](repeating: 0, count: 64 << 20))
    #expect(bomb.count < 1 << 20)
    #expect(error(bomb) == .tooLarge(limit: "expanded", most: 16 << 20))
  }

  @Test func `may have a million samples, or a stack of a hundred thousand`() {
    let million = wire { wire in for _ in 0..<1_000_000 { wire.message(2) { $0.packed(2, [1]) } } }
    #expect(error(million) == .tooLarge(limit: "samples", most: 250_000))
    let deep = wire {
      $0.message(4) { $0.number(1, 1) }
      $0.message(2) {
        $0.packed(1, [UInt64](repeating: 1, count: 100_000)); $0.packed(2, [1])
      }
    }
    #expect(error(deep) == .tooLarge(limit: "depth", most: 1024))
    let text = "file profile: total 1\n1 @" + String(repeating: " 0x1", count: 100_000) + "\n\n"
    #expect(error(Array(text.utf8)) != nil)
  }

  /// Wherever it is cut, it is an error or a profile: never a trap. A message cut between two fields is one.
  @Test(arguments: ["go1.19.pb.gz", "go1.19.txt", "go1.19-goroutine.pb.gz", "go1.19-goroutine.txt"])
  func `may be cut off anywhere`(name: String) throws {
    let bytes = try fixture(name)
    for end in 0..<bytes.count {
      if name.hasSuffix("gz") { #expect(error(Array(bytes[..<end])) != nil) } else { _ = error(Array(bytes[..<end])) }
    }
  }

  @Test(arguments: ["go1.19.pb.gz", "go1.19-goroutine.pb.gz"])
  func `may have any byte changed`(name: String) throws {
    var plain = try Profile(decoding: fixture(name)).encoded(compressed: false)
    for index in plain.indices {
      let old = plain[index]
      for change: UInt8 in [0x01, 0x80, 0xff] {
        plain[index] = old ^ change
        if let profile = try? Profile(decoding: plain) {
          _ = (profile.stackCounts(), profile.encoded(compressed: false))
        }
      }
      plain[index] = old
    }
  }

  @Test(arguments: [
    ("<!DOCTYPE html><html><body>Not Found</body></html>", "it is HTML"),
    ("404 page not found\n", "it is some other text"),
    ("{\"error\":\"no\"}", "it is some other text"), ("", "it is empty"), ("\u{0}\u{0}\u{0}", "field 0"),
  ])
  func `may be no profile at all`(text: String, expected: String) {
    #expect("\(error(Array(text.utf8)).map { "\($0)" } ?? "read")".contains(expected))
  }

  @Test func `may be two`() throws {
    let one = try fixture("go1.19.pb.gz")
    #expect(error(one + one) == .concatenated)
    let text = try fixture("go1.19.txt")
    #expect(error(text + text) == .concatenated)
    #expect("\(error(one + [1, 2, 3])!)".contains("something follows"))
  }

  private func gzip(_ bytes: [UInt8]) throws -> [UInt8] {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["gzip", "-c"]
    let (input, output) = (Pipe(), Pipe())
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    DispatchQueue.global().async {
      input.fileHandleForWriting.write(Data(bytes))
      try? input.fileHandleForWriting.close()
    }
    return Array(output.fileHandleForReading.readDataToEndOfFile())
  }
}
