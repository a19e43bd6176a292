// SPDX-License-Identifier: Apache-2.0
// The daemon's end: a helper for one process, started or connected to, asked, and ended.

import Linux
import Pprof

/// How a helper comes about.
package enum HelperSource: Sendable, Equatable {
  /// A socket of systemd's, which starts one for each connection.
  case socket(String)
  /// Forked: the path of fdwatch itself.
  case program(String)
  /// There is none: what to do.
  case none(String)
}

/// A connection to a helper. Used by one thread at a time.
final class HelperConnection {
  private let socket: PacketSocket
  private let child: HelperProcess?
  private let began = Instant.now
  /// The files that it has been given.
  private var files: [String]?

  /// A helper of systemd's is ended after ten minutes (`RuntimeMaxSec=`), whatever it does.
  private static let longestLife = Duration.seconds(300)

  init(_ source: HelperSource) throws(ParserError) {
    switch source {
    case .none(let advice): throw .unavailable(advice)
    case .socket(let path):
      do throws(SystemCallError) { socket = try PacketSocket(connectedTo: path) } catch {
        throw .unavailable("profiles are not read, as \(path) takes no connection: \(error.reason)")
      }
      child = nil
    case .program(let path):
      do throws(SystemCallError) {
        let pair = try PacketSocket.Pair()
        let null = try Descriptor(reading: "/dev/null")
        child = try HelperProcess(
          [path, "parse"], environment: ["SWIFT_BACKTRACE=enable=no"], input: pair.theirs, output: null)
        socket = PacketSocket(owning: pair.intoOurs())
      } catch { throw .failed("\(error)") }
    }
  }

  deinit { child?.endAndWait() }

  /// Whether it can be asked once more.
  var isUsable: Bool { !socket.hasEnded && Instant.now - began < Self.longestLife }

  /// Whether the files it knows are those that the process has mapped.
  func knows(_ paths: [String]) -> Bool { files.map { $0 == paths } ?? true }

  /// Asks for one job and waits for its answer.
  func ask(
    _ job: ParseJob, about process: borrowing ProcessInputs, bytes: [UInt8], file: CInt?,
    withNames: Bool, until deadline: Instant
  ) throws(ParserError) -> Result<ParseAnswer, ParseFailure> {
    do throws(PacketSocket.Failure) {
      try send(job, process, bytes: bytes, file: file, withNames: withNames, until: deadline)
      return try answer(until: deadline)
    } catch {
      switch error {
      case .ended: throw .died(death)
      case .timedOut: throw .timedOut
      case .failed(let call): throw error == Self.nonsense ? .unintelligible : .failed("\(call)")
      }
    }
  }

  private func send(
    _ job: ParseJob, _ process: borrowing ProcessInputs, bytes: [UInt8], file: CInt?, withNames: Bool,
    until deadline: Instant
  ) throws(PacketSocket.Failure) {
    var job = job
    var passed: [CInt] = []
    let mappings = withNames ? process.mappings : []
    job.mappingCount = mappings.count
    if let file { passed.append(file) }
    if withNames, let root = try? process.root() {
      if files == nil {
        files = process.paths
        // One at a time: a hundred descriptors at once, times eight, are more than some systems allow.
        for path in process.paths {
          guard Instant.now < deadline else { throw .timedOut }
          guard let program = process.open(path, below: root) else { continue }
          try socket.send(
            ParseMessage.file(path: path.cut(to: 400)).encoded()[...], descriptors: [program.number], until: deadline)
        }
      }
      if let map = process.perfMap(below: root) {
        job.hasPerfMap = true
        return try send(job, mappings, bytes, passed + [map.number], until: deadline)
      }
    }
    try send(job, mappings, bytes, passed, until: deadline)
  }

  private func send(
    _ job: ParseJob, _ mappings: [Profile.Mapping], _ bytes: [UInt8], _ descriptors: [CInt], until deadline: Instant
  ) throws(PacketSocket.Failure) {
    try socket.send(ParseMessage.job(job).encoded()[...], descriptors: descriptors, until: deadline)
    for start in stride(from: 0, to: mappings.count, by: MappingList.perMessage) {
      let part = mappings[start..<min(mappings.count, start + MappingList.perMessage)]
      try socket.send(MappingList.encoded(part)[...], until: deadline)
    }
    let most = PacketSocket.longest - 1
    for start in stride(from: 0, to: bytes.count, by: most) {
      let part = bytes[start..<min(bytes.count, start + most)]
      try socket.send(ParseMessage.bytes(part).encoded()[...], until: deadline)
    }
  }

  private func answer(until deadline: Instant) throws(PacketSocket.Failure) -> Result<ParseAnswer, ParseFailure> {
    var head = WireReader(try socket.receive(until: deadline))
    guard let count = try? head.number(1...AnswerLimits.bytes) else { throw Self.nonsense }
    var bytes: [UInt8] = []
    while bytes.count < count {
      let part = try socket.receive(until: deadline)
      guard bytes.count + part.count <= count else { throw Self.nonsense }
      bytes += part
    }
    guard let answer = try? AnswerWire.decoded(bytes) else { throw Self.nonsense }
    return answer
  }

  private static let nonsense = PacketSocket.Failure.failed(SystemCallError("decode", errno: 0))

  /// How it ended, where it is a child of ours.
  private var death: String {
    guard let child else { return "by a limit or a crash" }
    return switch child.endAndWait() {
    case 128 + 24, 128 + 9: "out of processor time"
    case 128 + 7, 128 + 11, 128 + 4, 128 + 5, 128 + 6: "crashed, or out of memory"
    case let code: "status \(code)"
    }
  }
}
