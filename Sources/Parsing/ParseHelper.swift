// SPDX-License-Identifier: Apache-2.0
// The helper: a process with no rights that reads foreign bytes for one that has many.

import Linux
import Pprof
import Symbols

/// Serves one connection, which is about one process: names that were found once serve the next profile of it.
package struct ParseHelper: ~Copyable {
  private let socket: PacketSocket
  private let symbolizer = Symbolizer()

  /// Without a question for so long it ends: the daemon lets go of it after half of that.
  private static let idle = Duration.seconds(60)
  /// For the rest of a question, once it has begun.
  private static let patience = Duration.seconds(20)
  /// Processor time of one job; then this process is ended.
  private static let mostCPU: UInt32 = 8

  package init(owning descriptor: consuming Descriptor) { socket = PacketSocket(owning: descriptor) }

  /// Serves until the other end hangs up or says what it should not.
  package consuming func run() {
    do {
      while true { try serve() }
    } catch {
      // Whoever asked has gone, or is none of ours.
    }
  }

  private func serve() throws {
    let (message, files) = try receive(until: .now + Self.idle)
    switch message {
    case .file(let path):
      if let file = files.take() { symbolizer.add(file, path: path) }
    case .job(let job):
      let answer = AnswerWire.encoded(try work(job, files).run(symbolizer))
      socket.endsWithOtherEnd(false)
      try send(answer)
    case .bytes: throw WireError()
    }
  }

  /// What came with a message.
  private final class Files {
    private var all: [CInt] = []

    func put(_ file: consuming Descriptor) { all.append(file.release()) }
    func take() -> Descriptor? { all.isEmpty ? nil : Descriptor(owning: all.removeFirst()) }

    deinit { while take() != nil {} }
  }

  private func receive(until deadline: Instant) throws -> (ParseMessage, Files) {
    let files = Files()
    let bytes = try socket.receive({ files.put($0) }, until: deadline)
    return (try ParseMessage(bytes), files)
  }

  private func work(_ job: ParseJob, _ files: Files) throws -> ParseWork {
    var work = ParseWork(job)
    let deadline = Instant.now + Self.patience
    switch job.subject {
    case .bytes, .stacks: break
    case .file, .table: work.file = files.take()
    }
    if job.hasPerfMap, let map = files.take() { work.perfMap = PerfMap(map) }
    while work.mappings.count < job.mappingCount {
      let more = try MappingList.decoded(socket.receive(until: deadline))
      if more.isEmpty || work.mappings.count + more.count > job.mappingCount { throw WireError() }
      work.mappings += more
    }
    if let count = job.subject.byteCount {
      work.bytes.reserveCapacity(min(count, 16 << 20))
      while work.bytes.count < count {
        guard case .bytes(let part) = try ParseMessage(socket.receive(until: deadline)), !part.isEmpty,
          work.bytes.count + part.count <= count
        else { throw WireError() }
        work.bytes += part
      }
    }
    Confinement.allowCPU(seconds: Self.mostCPU)
    // From here on nothing comes in until it is answered.
    socket.endsWithOtherEnd(true)
    return work
  }

  private func send(_ answer: [UInt8]) throws {
    let deadline = Instant.now + Self.patience
    var head = WireWriter()
    head.write(answer.count)
    try socket.send(head.bytes[...], until: deadline)
    for start in stride(from: 0, to: answer.count, by: PacketSocket.longest) {
      try socket.send(answer[start..<min(answer.count, start + PacketSocket.longest)], until: deadline)
    }
  }
}
