// SPDX-License-Identifier: Apache-2.0
// The table that a process keeps by LeakProfile: found among its descriptors, read when it is time, and never asked for.

import Descriptors
import LeakTable
import Linux
import Pprof
import Synchronization

/// Reads the table of one process, if it has one: when it is found, and while something of the process looks like a leak.
package final class TableKeeper {
  private let pid: Int32
  private let symbolizer: any ProfileSymbolizer
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
  private var problem: LeakTableError?
  private var told: Set<String> = []
  /// The largest of its profiles, as pprof has it, when it was last read.
  package var lastBytes: [UInt8]? { largest.map { $0.profile.pprof($0.mappings).encoded() } }
  private var largest: (profile: TableSnapshot.Profile, mappings: Mappings)?

  private static let mostDescriptors = 4

  private final class Mailbox: Sendable {
    let letters = Mutex<[(Int32, Result<TableReading, LeakTableError>)]>([])
  }

  package init(pid: Int32, symbolizer: any ProfileSymbolizer) { (self.pid, self.symbolizer) = (pid, symbolizer) }

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
    for (descriptor, result) in letters {
      isBusy = false
      switch result {
      case .success(let reading):
        (problem, cost) = (nil, reading.cost)
        snapshots += reading.snapshots.map { ($0, reading.taken) }
        largest = reading.largest ?? largest
        notes += reading.notes.filter { told.insert($0).inserted }
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
    let (pid, ownPid, symbolizer, mailbox) = (pid, ownPid, symbolizer, mailbox)
    HTTPFetcher.shared.perform {
      let result = Result { () throws(LeakTableError) in
        try TableReading(of: pid, descriptor, ownedBy: ownPid, symbolizer)
      }
      mailbox.letters.withLock { $0.append((descriptor, result)) }
    }
  }

  private func failed(_ descriptor: Int32, _ error: LeakTableError, _ notes: inout [String]) {
    switch error {
    case .gone, .belongs:
      // Its parent's is of no use to us, and will be closed.
      descriptors.removeAll { $0 == descriptor }
      isDue = !descriptors.isEmpty
    // It may be about to be made.
    case .hasNoMagic: break
    default:
      if error != problem { notes.append("the table of its profiles (descriptor \(descriptor)) is not read: \(error)") }
      problem = error
    }
  }
}

/// What a table held when it was read.
struct TableReading: Sendable {
  var snapshots: [ProfileSnapshot] = []
  var taken: Instant
  var cost = Duration.zero
  /// Of its profiles the one that holds most, should somebody want to save it.
  var largest: (profile: TableSnapshot.Profile, mappings: Mappings)?
  var notes: [String] = []

  init(
    of pid: Int32, _ descriptor: Int32, ownedBy ownPid: UInt32, _ symbolizer: any ProfileSymbolizer
  ) throws(LeakTableError) {
    let table = try SharedTable(pid: pid, descriptor: descriptor)
    let began = Instant.now
    let snapshot = try table.snapshot(ownedBy: ownPid)
    taken = began + (Instant.now - began) / 2
    let mappings = try Mappings(of: pid)
    var names: [UInt64: [String]] = [:]
    defer { symbolizer.close() }
    for profile in snapshot.profiles where !profile.groups.isEmpty {
      snapshots.append(
        ProfileSnapshot(name: profile.name, stacks: Self.stacks(of: profile, mappings, symbolizer, &names)))
    }
    largest = snapshot.profiles.max { $0.entries < $1.entries }.map { ($0, mappings) }
    // An empty profile is a baseline, too.
    snapshots += snapshot.profiles.filter(\.groups.isEmpty).map { ProfileSnapshot(name: $0.name, stacks: []) }
    for profile in snapshot.profiles where profile.lostValues > 0 {
      notes.append("its table is full: not all that is in the profile \(profile.name) is recorded")
    }
    if snapshot.lostStacks > 0 { notes.append("its table is full: not all stacks are recorded") }
    cost = Instant.now - began
  }
}

extension TableReading {
  /// With their names; stacks of the same names are one.
  private static func stacks(
    of profile: TableSnapshot.Profile, _ mappings: Mappings, _ symbolizer: any ProfileSymbolizer,
    _ names: inout [UInt64: [String]]
  ) -> [StackCount] {
    var found: [[String]: (count: Int, descriptors: [Int32])] = [:]
    for group in profile.groups {
      var frames: [String] = []
      for address in group.stack {
        if names[address] == nil {
          let location = Profile.Location(address: address, frames: [])
          names[address] = Profile.words(location) { symbolizer.frames(of: $0, in: mappings.all) }
        }
        frames += names[address] ?? []
      }
      let own = frames.withoutLibrary
      found[own, default: (0, [])].count += group.count
      found[own]?.descriptors += group.descriptors
    }
    return found.map { StackCount(frames: $0.key, count: $0.value.count, descriptors: $0.value.descriptors) }
      .sorted { ($0.count, $1.frames.first ?? "") > ($1.count, $0.frames.first ?? "") }
  }
}

extension [String] {
  /// Without the library's own frames, where a program is built without optimization.
  fileprivate var withoutLibrary: [String] {
    let rest = drop { $0.hasPrefix("leakprofile_") || $0.hasPrefix("LeakProfile.") || $0.contains(" of LeakProfile.") }
    return rest.isEmpty ? ["no stack"] : Array(rest)
  }
}
