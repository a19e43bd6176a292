// SPDX-License-Identifier: Apache-2.0
// What a trace of a process's openings comes to, in each of the forms that are printed.

import Descriptors
import Linux
import Openers
import Parsing
import Pprof
import Procfs
import Trace
import Watch

struct OpenersReport {
  struct Row {
    var count: Int
    /// The system call.
    var call: String
    /// One of them, and what it refers to.
    var example: (number: Int32, target: String)?
    var frames: [String]
    var descriptors: [Int32]
  }

  private let identity: ProcessIdentity
  private let elapsed: Duration
  private let grace: Duration
  private let counts: OpenerCounts
  private let survivors: Survivors
  private let rows: [Row]
  /// Their stacks could not be told.
  private let withoutStack: Int
  private let isCut: Bool

  init(
    identity: ProcessIdentity, elapsed: Duration, grace: Duration, counts: OpenerCounts, survivors: Survivors,
    groups: [OpenedGroup], stacks: OpenerStacks, target: (Int32) -> String?
  ) {
    (self.identity, self.elapsed, self.grace, self.counts) = (identity, elapsed, grace, counts)
    self.survivors = survivors
    var calls: [Int32: String] = [:]
    for group in groups { for number in group.group.descriptors { calls[number] = group.call } }
    rows = stacks.stacks.map { stack in
      // The first that is open still.
      var example: (number: Int32, target: String)?
      for number in stack.descriptors where example == nil { example = target(number).map { (number, $0) } }
      return Row(
        count: stack.count, call: stack.descriptors.first.flatMap { calls[$0] } ?? "?", example: example,
        frames: stack.frames, descriptors: stack.descriptors)
    }
    withoutStack = stacks.others + survivors.unkept.count
    isCut = stacks.isCut
  }

  private var open: Int { rows.reduce(withoutStack) { $0 + $1.count } }

  /// What is to be known beside the stacks, a sentence each.
  var remarks: [String] {
    var found: [String] = []
    func add(_ count: Int, _ one: String, _ more: String) {
      if count > 0 { found.append("\(count) \(count == 1 ? one : more)") }
    }
    add(withoutStack, "has no stack: it was not kept", "have no stack: it was not kept")
    add(
      survivors.young.count, "was opened less than \(grace.words) before the end and is not counted",
      "were opened less than \(grace.words) before the end and are not counted")
    add(survivors.before.count, "was opened before tracing began", "were opened before tracing began")
    add(
      survivors.unseen.count, "was opened in a way that is not seen (received from another process, io_uring, …)",
      "were opened in a way that is not seen (received from another process, io_uring, …)")
    add(counts.beyond, "opening had a number above 65535", "openings had numbers above 65535")
    add(counts.foreign, "system call of 32 bits was not followed", "system calls of 32 bits were not followed")
    add(counts.lost, "stack was not copied for want of room", "stacks were not copied for want of room")
    if isCut { found.append("Not all names were looked up: that would have taken too long") }
    return found
  }

  func table(top: Int, style: TextStyle) -> String {
    let name = "\(identity.command.printable) (\(identity.pid))"
    let openings = counts.openings == 1 ? "1 opening" : "\(counts.openings) openings"
    var lines = [style.bold("\(name): \(openings) in \(elapsed.words), \(open) still open")]
    for row in rows.prefix(top) {
      let example = row.example.map { ", such as \($0.number) → \($0.target.printable)" } ?? ""
      lines += ["", "\(String(row.count).padded(6, alignRight: true))  \(row.call)\(example)"]
      lines += row.frames.map { "        \($0.printable)" }
    }
    if rows.count > top {
      let rest = rows.dropFirst(top).reduce(0) { $0 + $1.count }
      lines += ["", "\(String(rest).padded(6, alignRight: true))  by \(rows.count - top) other stacks (--top)"]
    }
    let remarks = remarks
    if !remarks.isEmpty { lines += [""] + remarks.map { style.dim($0 + ".") } }
    return lines.joined(separator: "\n")
  }

  var json: String {
    var object = JSONObject()
    object.add("pid", identity.pid)
    object.add("comm", identity.command)
    object.add("seconds", elapsed.seconds)
    object.add("openings", counts.openings)
    object.add("open", open)
    object.add("without_stack", withoutStack)
    object.add("young", survivors.young.count)
    object.add("opened_before", survivors.before.count)
    object.add("opened_unseen", survivors.unseen.count)
    object.add("number_above_65535", counts.beyond)
    object.add("calls_of_32_bits", counts.foreign)
    object.add("stacks_lost", counts.lost)
    let stacks = rows.map { row in
      var entry = JSONObject()
      entry.add("count", row.count)
      entry.add("call", row.call)
      entry.add("target", row.example?.target)
      entry.add("frames", row.frames)
      entry.add("descriptors", json: "[" + row.descriptors.map(String.init).joined(separator: ",") + "]")
      return entry.line
    }
    object.add("stacks", json: "[" + stacks.joined(separator: ",") + "]")
    return object.line
  }

  /// A line for each stack, as flamegraph.pl and its kin read them.
  var collapsed: String {
    rows.map { row in
      let frames = row.frames.reversed().map { $0.printable.replacing(";", with: ":") }
      return frames.joined(separator: ";") + " \(row.count)\n"
    }.joined()
  }

  /// With the label `fd`, by which each descriptor is found again.
  var pprof: [UInt8] {
    var builder = ProfileBuilder(sampleTypes: [.init(type: "descriptors", unit: "count")])
    for row in rows {
      let stack = row.frames.map { builder.location(.init(frames: [Self.frame($0)])) }
      for number in row.descriptors {
        builder.add(stack: stack, values: [1], labels: [.init("fd", .number(Int64(number), unit: ""))])
      }
      // Of very many descriptors a part has its numbers.
      let rest = row.count - row.descriptors.count
      if rest > 0 { builder.add(stack: stack, values: [Int64(rest)]) }
    }
    return builder.finish { $0.timeNanos = Int64(clamping: Int(WallClock.now * 1e9)) }.encoded()
  }

  /// `function file:line`, apart again.
  private static func frame(_ text: String) -> Profile.Frame {
    guard let space = text.lastIndex(of: " "), let colon = text.lastIndex(of: ":"), space < colon,
      let line = Int(text[text.index(after: colon)...])
    else { return Profile.Frame(function: text) }
    return Profile.Frame(
      function: String(text[..<space]), file: String(text[text.index(after: space)..<colon]), line: line)
  }
}

extension Duration {
  /// `10 s`, `0.4 s`.
  fileprivate var words: String {
    let tenths = (seconds * 10).rounded() / 10
    return tenths == tenths.rounded() ? "\(Int(tenths)) s" : "\(tenths) s"
  }
}
