// SPDX-License-Identifier: Apache-2.0
// Writing a trace.

import Descriptors

/// Writes a trace: the header at once, then a line for each poll.
package final class TraceWriter {
  private var file: GzipFile
  private var lastFlush = Duration.zero
  /// Often enough that a recording that is killed loses next to nothing, rarely enough that it stays small.
  private static let flushEvery = Duration.seconds(1)

  package init(path: String, header: TraceHeader) throws(TraceError) {
    file = try GzipFile(writing: path)
    try file.write(header.json + "\n")
    try file.flush()
  }

  /// Writes what is left: an error here is that of a full disk, as in any other call.
  package func close() throws(TraceError) { try file.close() }

  package func write(_ poll: Poll) throws(TraceError) {
    try file.write(PollLine.json(poll) + "\n")
    if poll.time - lastFlush >= Self.flushEvery {
      try file.flush()
      lastFlush = poll.time
    }
  }
}

extension PollLine {
  static func json(_ poll: Poll) -> String {
    var object = JSONObject()
    let milliseconds = poll.time / .milliseconds(1)
    object.add("t", json: JSONObject.number(milliseconds / 1000))
    object.add("count", poll.count)
    if !poll.isCensus { object.add("look", "count") }
    if let limits = poll.limits {
      object.add("soft_limit", limits.soft)
      object.add("hard_limit", limits.hard)
    }
    if let collector = poll.collector { object.add("collector", collector.rawValue) }
    add("closed", poll.closed, to: &object) { String($0) }
    add("opened", poll.opened, to: &object) {
      let flags = $0.flags == 0 ? "00" : "0" + String($0.flags, radix: 8)
      return "[\($0.number),\(JSONObject.quoted($0.target)),\($0.inode),\"\(flags)\",\($0.position)]"
    }
    add(
      "kinds", poll.opened.filter { $0.kind != Kind(target: $0.target, flags: $0.flags, position: $0.position) },
      to: &object
    ) {
      "[\($0.number),\"\($0.kind.rawValue)\"]"
    }
    add("moved", poll.moved, to: &object) { "[\($0.number),\($0.position)]" }
    add("tcp", poll.tcp, to: &object) { "[\($0.inode),\"\($0.state.rawValue)\",\(JSONObject.quoted($0.peer))]" }
    add("sock", poll.families, to: &object) { "[\($0.inode),\"\($0.kind.rawValue)\"]" }
    add("unread", poll.unread, to: &object) { "[\($0.inode),\($0.bytes)]" }
    add("usage", poll.usage, to: &object, UsageLine.json)
    addProfiles(poll.profiles, to: &object)
    return object.line
  }

  /// The first as the format has it, the others in a list of their own.
  private static func addProfiles(_ profiles: [ProfileSnapshot], to object: inout JSONObject) {
    guard let first = profiles.first else { return }
    object.add("profile", first.name)
    if first.age > .zero { object.add("age", json: JSONObject.number(first.age / .seconds(1))) }
    if first.isWitness { object.add("witness", json: "true") }
    object.add("stacks", json: json(first.stacks))
    addRest(of: first, to: &object)
    add("profiles", Array(profiles.dropFirst()), to: &object) { profile in
      var row = JSONObject()
      row.add("name", profile.name)
      if profile.age > .zero { row.add("age", json: JSONObject.number(profile.age / .seconds(1))) }
      if profile.isWitness { row.add("witness", json: "true") }
      row.add("stacks", json: json(profile.stacks))
      addRest(of: profile, to: &row)
      return row.line
    }
  }

  private static func addRest(of profile: ProfileSnapshot, to object: inout JSONObject) {
    if profile.others > 0 { object.add("others", json: String(profile.others)) }
    if profile.stride != 1 { object.add("stride", json: String(profile.stride)) }
  }

  private static func json(_ stacks: [StackCount]) -> String {
    let elements = stacks.map { stack in
      let frames = "[" + stack.frames.map(JSONObject.quoted).joined(separator: ",") + "]"
      let descriptors =
        stack.descriptors.isEmpty ? "" : ",[\(stack.descriptors.map { String($0) }.joined(separator: ","))]"
      return "[\(frames),\(stack.count)\(descriptors)]"
    }
    return "[" + elements.joined(separator: ",") + "]"
  }

  private static func add<Element>(
    _ key: String, _ elements: [Element], to object: inout JSONObject, _ json: (Element) -> String
  ) {
    if !elements.isEmpty { object.add(key, json: "[" + elements.map(json).joined(separator: ",") + "]") }
  }
}
