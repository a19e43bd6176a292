// SPDX-License-Identifier: Apache-2.0
// Reading a large profile, beside `go tool pprof`.

import Foundation
import Pprof

/// As a Go program with many call sites would serve it, expanded to some 10 MB.
private func largeProfile() -> [UInt8] {
  var random = SystemRandomNumberGenerator()
  var builder = ProfileBuilder(sampleTypes: [.init(type: "file", unit: "count")])
  let mapping = builder.mapping(.init(start: 0x400000, limit: 0x4000000, offset: 0, file: "/usr/bin/app"))
  var places: [UInt32] = []
  for number in 0..<12_000 {
    let folder = "example.com/store/internal/package\(number % 97)"
    let frame = Profile.Frame(
      function: "\(folder).(*Type\(number % 311)).Method\(number)", file: "/build/src/\(folder)/file\(number % 811).go",
      line: number % 900 + 1)
    places.append(
      builder.location(Profile.Location(address: 0x400000 + UInt64(number) * 64, mapping: mapping, frames: [frame])))
  }
  for _ in 0..<150_000 {
    let depth = Int.random(in: 16...32, using: &random)
    builder.add(
      stack: (0..<depth).map { _ in places.randomElement(using: &random) ?? 0 }, values: [.random(in: 1...500)])
  }
  return builder.finish().encoded()
}

/// In a process of its own, so that its highest memory is that of one profile. Prints milliseconds, and bytes.
func decodeOnce(_ path: String) throws {
  let bytes = Array(try Data(contentsOf: URL(filePath: path)))
  let before = try megabytes("VmHWM", of: getpid())
  var samples = 0
  let took = try nanoseconds {
    let profile = try Profile(decoding: bytes)
    samples = profile.sampleCount
  }
  print(took / 1e6, try megabytes("VmHWM", of: getpid()) - before, samples)
}

func profiles(_ results: inout Results) throws {
  let file = URL(filePath: NSTemporaryDirectory()).appending(path: "fdwatch-bench-\(getpid()).pb.gz")
  let compressed = largeProfile()
  try Data(compressed).write(to: file)
  defer { try? FileManager.default.removeItem(at: file) }
  let expanded = Double(try Profile(decoding: compressed).encoded(compressed: false).count) / 1e6

  var ours: [(decode: Double, memory: Double, whole: Double)] = []
  var peer: [Double] = []
  for _ in 0..<7 {
    let child = Process()
    child.executableURL = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    child.arguments = ["--decode", file.path]
    let output = Pipe()
    child.standardOutput = output
    var text = ""
    let whole = try nanoseconds {
      try child.run()
      text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      child.waitUntilExit()
    }
    let numbers = text.split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
    guard numbers.count == 3 else { throw BenchError("the decoder said: \(text)") }
    ours.append((numbers[0] * 1e6, numbers[1], whole))
    if let time = try tool("/usr/bin/go", ["tool", "pprof", "-top", "-symbolize=none", file.path]) {
      peer.append(time)
    }
  }
  let name = "a profile of \(Int(expanded.rounded())) MB expanded"
  let decode = median(ours.map(\.decode))
  results.add("\(name): read", time(decode), "", "", bar: "< 100 ms", holds: decode < 100e6)
  let memory = median(ours.map(\.memory))
  results.add(
    "\(name): memory", "\((memory * 10).rounded() / 10) MB", "", times(memory / expanded), bar: "< 3 ×",
    holds: memory < 3 * expanded)
  let whole = median(ours.map(\.whole))
  if !peer.isEmpty {
    results.add(
      "\(name): as a whole process", time(whole), "go tool pprof \(time(median(peer)))", times(median(peer) / whole),
      bar: "", holds: nil)
  }
}
