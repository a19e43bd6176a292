// SPDX-License-Identifier: Apache-2.0
// The live view, on a pseudoterminal of the tests.

import Foundation
import TestSupport
import Testing

@Suite struct `The live view` {
  private static let enter = "\u{1b}[?1049h"
  private static let leave = "\u{1b}[?1049l"

  private func start(
    _ child: FDFactory, rows: Int = 24, columns: Int = 80, environment: [String: String] = [:]
  ) throws -> ChildProcess {
    try BuiltBinary.start(
      ["--interval", "50ms", "\(child.pid)"], environment: environment, terminal: (rows, columns))
  }

  /// Reads until so many frames have been painted from some place on.
  private func read(_ watch: ChildProcess, frames: Int, where isWanted: ([String]) -> Bool = { _ in true }) throws {
    try watch.read { painted in Screen(painted).frames.count(where: isWanted) >= frames }
  }

  @Test func `repaints in place and restores the screen`() throws {
    let child = try FDFactory()
    try child.open("eventfd", 9)
    let watch = try start(child)
    try read(watch, frames: 2)
    try child.open("eventfd", 20)
    try read(watch, frames: 1) { $0.contains { $0.hasPrefix("32 of ") } }
    // As the terminal's user does it.
    try watch.write("\u{3}")
    let outcome = try watch.finish()
    #expect(outcome.status == .exited(0))
    let output = outcome.output
    #expect(output.components(Self.enter) == 2 && output.components(Self.leave) == 2)
    #expect(output.components("\u{1b}[?25l") == 2 && output.components("\u{1b}[?25h") == 2)
    let screen = Screen(output)
    #expect(screen.frames[0][0].hasPrefix("\(child.pid)  "))
    #expect(screen.frames[0].contains { $0.hasPrefix("12 of ") })
    #expect(screen.frames.allSatisfy { $0.count <= 24 && $0.allSatisfy { $0.count <= 80 } })
    #expect(screen.frames.allSatisfy { $0.last?.contains("Ctrl-C ends") == true })
    // What is left on the screen that comes back.
    let tail = output.components(separatedBy: Self.leave)[1]
    #expect(tail.contains("watched for") && tail.contains("No leak seen."))
    #expect(!tail.contains("\u{1b}[H"))
  }

  @Test func `keeps within the terminal when its size changes`() throws {
    let child = try FDFactory()
    try child.name(Array("a name of size".utf8))
    let watch = try start(child)
    try read(watch, frames: 1)
    for (rows, columns) in [(6, 20), (50, 200), (24, 80)] {
      let before = watch.outputBytes.count
      try watch.resize(rows: rows, columns: columns)
      // Frames that were begun before may still come in: from the first that fits on, all have to.
      let fits = { (frame: [String]) in frame.count <= rows && frame.allSatisfy { $0.count <= columns } }
      let isWide = { (frame: [String]) in columns <= 80 || frame.contains { $0.count > 80 } }
      try watch.read(from: before) { painted in
        Screen(painted).frames.count { fits($0) && (columns != 20 || $0[0].count <= 20) && isWide($0) } >= 3
      }
      let frames = Screen(String(decoding: watch.outputBytes[before...], as: UTF8.self)).frames
      let first = try #require(frames.firstIndex(where: fits))
      #expect(first <= 2)
      #expect(frames[first...].allSatisfy(fits))
    }
    watch.send(SIGTERM)
    #expect(try watch.finish().status == .exited(0))
  }

  @Test(arguments: [Array("a\nb\u{1b}[2J".utf8), [0x61, 0xff, 0x1b, 0x5d, 0x30], [0x9b, 0x32, 0x4a]] as [[UInt8]])
  func `never lets a hostile name act`(name: [UInt8]) throws {
    let child = try FDFactory()
    try child.name(name)
    _ = try child.path(name)
    let watch = try start(child)
    try read(watch, frames: 3)
    try watch.write("\u{3}")
    let screen = Screen(try watch.finish().output)
    #expect(screen.escapes.allSatisfy { $0.hasSuffix("m") })
    #expect(
      screen.frames.joined().allSatisfy { $0.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control } })
  }

  @Test func `has no colour under NO_COLOR`() throws {
    let child = try FDFactory()
    let coloured = try start(child)
    try read(coloured, frames: 1)
    #expect(!Screen(coloured.output).escapes.isEmpty)
    let plain = try start(child, environment: ["NO_COLOR": "1"])
    try read(plain, frames: 1)
    #expect(Screen(plain.output).escapes.isEmpty)
  }

  @Test func `is not for a terminal that can do nothing`() throws {
    let child = try FDFactory()
    let watch = try start(child, environment: ["TERM": "dumb", "NO_COLOR": "1"])
    try watch.read { $0.contains(" open") }
    #expect(!watch.outputBytes.contains(0x1b))
  }

  @Test func `leaves the screen when the process exits`() throws {
    let child = try FDFactory()
    let watch = try start(child)
    try read(watch, frames: 1)
    try child.exit()
    let outcome = try watch.finish()
    #expect(outcome.status == .exited(0))
    #expect(outcome.output.contains(Self.leave) && outcome.output.contains("The process has exited."))
  }
}

extension String {
  /// In how many parts a separator divides it.
  fileprivate func components(_ separator: String) -> Int { components(separatedBy: separator).count }
}
