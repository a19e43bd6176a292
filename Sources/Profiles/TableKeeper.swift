// SPDX-License-Identifier: Apache-2.0
// The table that a process keeps by LeakProfile: found among its descriptors, read when it is time, and never asked for.

import Descriptors
import LeakTable
import Linux
import Parsing
import Procfs
import Synchronization

/// Reads the table of one process, if it has one: when it is found, and while something of the process looks like a leak.
package final class TableKeeper {
  private let process: ProcessKey
  private let owner: ProcessOwner
  private let parser: Parser
  /// Whether names of addresses are looked up: not where that has ended the helper.
  private var withNames = true
  private let mailbox = Mailbox()
  /// Of the process: where tables are. A child that has just been forked may have its parent's, too.
  private var descriptors: [Int32] = []
  /// As the process knows itself.
  private var ownPid: UInt32 = 0
  private var isBusy = false
  private var isDue = false
  private var suspicionBegan: Duration?
  private var nextRound = Duration.zero
  /// What the last reading took.
  private var cost = Duration.zero
  /// It was told that a table is not read, and none has been since.
  private var isProblemTold = false
  private var told: Set<ParseAnswer.Note> = []

  private static let mostDescriptors = 4

  private final class Mailbox: Sendable {
    let letters = Mutex<[(descriptor: Int32, result: Result<TableReading, TableProblem>, cost: Duration)]>([])
  }

  package init(_ process: ProcessKey, owner: ProcessOwner, parser: Parser) {
    (self.process, self.owner, self.parser) = (process, owner, parser)
  }

  package var isIdle: Bool { descriptors.isEmpty && !isBusy }

  /// Looks for tables among what a census found.
  /// - Parameter innermostPid: the process's number as it knows it, asked for once.
  package func note(_ poll: Poll, innermostPid: () -> Int32?) {
    if !poll.closed.isEmpty, !descriptors.isEmpty {
      descriptors.removeAll { poll.closed.contains($0) }
    }
    for opened in poll.opened where opened.target == SharedTable.target && descriptors.count < Self.mostDescriptors {
      if ownPid == 0 { ownPid = innermostPid().map { UInt32(bitPattern: $0) } ?? 0 }
      descriptors.append(opened.number)
      isDue = true
    }
  }

  /// Takes in what was read, and reads what is due, on another thread.
  package func tick(
    at time: Duration, isSuspicious: Bool
  ) -> (snapshots: [(snapshot: ProfileSnapshot, taken: Instant)], notes: [String]) {
    var snapshots: [(snapshot: ProfileSnapshot, taken: Instant)] = []
    var notes: [String] = []
    let letters = mailbox.letters.withLock { letters in
      defer { letters = [] }
      return letters
    }
    for (descriptor, result, cost) in letters {
      isBusy = false
      self.cost = cost
      // What is costly to read is so whether or not anything comes of it.
      nextRound = max(nextRound, time + cost * 20)
      switch result {
      case .success(let reading):
        isProblemTold = false
        snapshots += reading.snapshots.map { ($0, reading.taken) }
        notes += reading.notes.filter { told.insert($0).inserted }.sorted { $0.rawValue < $1.rawValue }.map(\.inWords)
      case .failure(let error): failed(descriptor, error, &notes)
      }
    }
    if !isSuspicious {
      suspicionBegan = nil
    } else if let began = suspicionBegan {
      if time >= nextRound {
        isDue = true
        nextRound = time + pause(after: time - began)
      }
    } else {
      (suspicionBegan, isDue, nextRound) = (time, true, time + pause(after: .zero))
    }
    if isDue, !isBusy, !descriptors.isEmpty { read() }
    return (snapshots, notes)
  }

  /// As the process is not asked, only we pay: every second where it is small, since what was opened after the last
  /// reading has no stack. At most a twentieth of our time goes into it, and less as a leak gets old.
  private func pause(after suspicion: Duration) -> Duration {
    max(.seconds(1), cost * 20, min(suspicion / 16, .seconds(60)))
  }

  private func read() {
    (isDue, isBusy) = (false, true)
    // The last one: a table that was made anew stands behind what is left of an old one.
    let descriptor = descriptors[descriptors.count - 1]
    let (process, ownPid, parser, withNames, mailbox) = (process, ownPid, parser, withNames, mailbox)
    do throws(ParserError) {
      try parser.perform(for: owner) {
        let began = Instant.now
        let result = Result { () throws(TableProblem) in
          try TableReading(of: process, descriptor, ownedBy: ownPid, parser, withNames: withNames)
        }
        mailbox.letters.withLock { $0.append((descriptor, result, .now - began)) }
      }
    } catch {
      mailbox.letters.withLock { $0.append((descriptor, .failure(.parser(error)), .zero)) }
    }
  }

  private func failed(_ descriptor: Int32, _ error: TableProblem, _ notes: inout [String]) {
    switch error {
    case .table(.gone), .table(.belongs):
      // Its parent's is of no use to us, and will be closed.
      descriptors.removeAll { $0 == descriptor }
      isDue = !descriptors.isEmpty
    // It may be about to be made.
    case .table(.hasNoMagic): break
    // A set-user-ID program may have it of whoever started it.
    case .isForeign: descriptors = []
    // Whoever runs the daemon hears of it once, and not for each process.
    case .parser(.unavailable), .parser(.busy): break
    default:
      if case .parser(.died) = error { withNames = false }
      // However its text changes: whoever writes the table may write it anew each second.
      if !isProblemTold {
        notes.append("the table of its profiles (descriptor \(descriptor)) is not read: \(error)")
      }
      isProblemTold = true
    }
  }
}

/// Why a table was not read.
enum TableProblem: Error, Equatable, CustomStringConvertible {
  case table(LeakTableError)
  case parser(ParserError)
  /// The process was given rights that whoever started it has not.
  case isForeign

  var description: String {
    switch self {
    case .table(let error): "\(error)"
    case .parser(let error): "\(error)"
    case .isForeign: "the process does not speak for itself"
    }
  }
}

/// What a table held when it was read.
struct TableReading: Sendable {
  var snapshots: [ProfileSnapshot]
  var taken: Instant
  var notes: Set<ParseAnswer.Note>

  /// On a thread that may wait.
  init(
    of process: ProcessKey, _ descriptor: Int32, ownedBy ownPid: UInt32, _ parser: Parser, withNames: Bool
  ) throws(TableProblem) {
    let inputs = try Self.inputs(process)
    if !inputs.speaksForItself { throw .isForeign }
    let table: SharedTable
    do throws(LeakTableError) { table = try SharedTable(pid: process.pid, descriptor: descriptor) } catch {
      throw .table(error)
    }
    var request = ParseRequest(process, ParseJob(.table(ownPid)))
    request.withNames = withNames
    let began = Instant.now
    let answer: Result<ParseAnswer, ParseFailure>
    do throws(ParserError) { answer = try parser.parse(request, about: inputs, file: table.number) } catch {
      throw .parser(error)
    }
    switch answer {
    case .failure(.table(let error)): throw .table(error)
    case .failure: throw .parser(.unintelligible)
    case .success(let answer):
      snapshots = answer.profiles.map { ProfileSnapshot($0, name: $0.name) }
      notes = answer.notes
      // It was read first, and its names were looked up then.
      taken = began
    }
  }

  private static func inputs(_ process: ProcessKey) throws(TableProblem) -> ProcessInputs {
    do throws(ProcfsError) { return try ProcessInputs(process) } catch { throw .table(.gone) }
  }
}

extension ParseAnswer.Note {
  fileprivate var inWords: String {
    switch self {
    case .budgetSpent: "its table has too many addresses to look up: not all have their names"
    case .stacksLost: "its table is full: not all stacks are recorded"
    case .valuesLost: "its table is full: not all that is in its profiles is recorded"
    }
  }
}
