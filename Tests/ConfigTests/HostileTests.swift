// SPDX-License-Identifier: Apache-2.0
// Whatever the bytes, the answer is a configuration or a problem.

import Config
import Testing

/// The same numbers every time: splitmix64.
private struct Seeded: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

@Suite struct `Any bytes` {
  private func check(_ bytes: [UInt8]) {
    let loaded = Configuration.load(text: bytes, path: "f")
    for problem in loaded.problems {
      let isPrintable = problem.description.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f }
      #expect(isPrintable, "\(bytes)")
      #expect(problem.line >= 0 && problem.column >= 0)
    }
    // What is valid is so again when it is printed.
    guard loaded.isValid else { return }
    let again = Configuration.load(loaded.toml)
    #expect(again.configuration == loaded.configuration && again.isValid, "\(loaded.toml)")
  }

  @Test(arguments: 0..<8) func `at random are no crash`(seed: UInt64) {
    var random = Seeded(state: seed)
    for _ in 0..<200 {
      check((0..<Int.random(in: 0..<200, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) })
    }
  }

  @Test(arguments: 0..<8) func `of a good file with some changed are no crash`(seed: UInt64) {
    var random = Seeded(state: seed + 100)
    let good = Array(Sample.uncommented.utf8)
    let pieces: [[UInt8]] = [
      "[", "]", "[[", "]]", "{", "}", "=", ".", "\"", "\"\"\"", "'", "#", "\n", ",", "\\", "\\u", "é", "nan",
    ]
    .map { Array($0.utf8) }
    for _ in 0..<100 {
      var bytes = good
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let at = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.removeSubrange(at..<min(at + 20, bytes.count))
        case 2: bytes.insert(contentsOf: pieces.randomElement(using: &random) ?? [], at: at)
        default: bytes.removeLast(bytes.count - at)
        }
        if bytes.isEmpty { break }
      }
      check(bytes)
    }
  }

  @Test(arguments: ["a.", "[", "{a=", "[a.", "[[", "\"", "a={", "\"\".", "a . "])
  func `of which a nest is built are no crash`(piece: String) {
    check(Array(String(repeating: piece, count: 100_000).utf8))
    check(Array(("x = " + String(repeating: piece, count: 100_000)).utf8))
    check(Array(String(repeating: piece + "\n", count: 100_000).utf8))
  }

  // The parser's tables of blanks have no entry for such letters. That this is no undefined behaviour, the fuzzer's
  // sanitizer sees: its corpus has these three.
  @Test func `beyond ASCII are text in quotes, and a problem elsewhere`() {
    let loaded = Configuration.load("labels.a = \"\"\"\\\n  äb\"\"\"")
    #expect(loaded.isValid && loaded.configuration.labels == ["a": "äb"])
    for text in ["größe = 1", "interval = 0.2¹"] { #expect(!Configuration.load(text).isValid, "\(text)") }
  }
}
