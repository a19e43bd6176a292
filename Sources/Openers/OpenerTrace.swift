// SPDX-License-Identifier: Apache-2.0
// One process, traced: from when it is attached to until it is let go of.

import COpeners
import Glibc
import Linux
import Parsing
import Procfs

/// Counts of what was seen.
package struct OpenerCounts: Sendable, Equatable {
  package var openings = 0
  /// Stacks that were copied.
  package var copies = 0
  /// Stacks that were not, as there was no room.
  package var lost = 0
  /// Descriptors with too large a number.
  package var beyond = 0
  /// System calls of 32 bits, which are not followed.
  package var foreign = 0
}

/// Sees all that a process opens and closes. Used by one thread at a time.
@safe
package final class OpenerTrace {
  package let process: ProcessKey
  private let openers: OpaquePointer
  private let before: Set<Int32>
  private var store = StackStore()
  private var code: CodeBlocks
  private var codeIsDue: Instant
  private var dropped = 0
  private var record = [UInt8](repeating: 0, count: fdwatch_openers_record_size())

  /// The first pid namespace's inode, `PROC_PID_INIT_INO` of the kernel's include/linux/proc_ns.h.
  private static let firstNamespace: UInt64 = 0xEFFF_FFFC
  private static let mostRanges = 4096
  /// Between two looks at where its code is.
  private static let codePause = Duration.seconds(1)
  /// Of one reading; the ring holds fewer.
  private static let mostRecords = 1000

  /// Loads the program and attaches it.
  package init(_ directory: borrowing ProcessDirectory) throws(OpenersError) {
    let missing = OpenersError.missingCapabilities
    if !missing.isEmpty { throw .missing(missing) }
    process = ProcessKey(pid: directory.pid, startTime: directory.startTime)
    var target: fdwatch_openers_target
    let ranges: [Range<UInt64>]
    do throws(ProcfsError) {
      let found = try directory.codeRanges(most: Self.mostRanges)
      target = try Self.target(directory, mainStack: found.mainStack)
      ranges = found.code
    } catch { throw .process(error) }
    var step = FDWATCH_OPENERS_LOADING
    guard let loaded = unsafe fdwatch_openers_load(&target, &step) else {
      let error = errno
      if step == FDWATCH_OPENERS_MACHINE { throw .machine }
      throw OpenersError(step: step == FDWATCH_OPENERS_LOADING ? "loading a BPF program" : "mmap", errno: error)
    }
    var code = CodeBlocks()
    for range in ranges {
      code.add(range)
      unsafe fdwatch_openers_add_code(loaded, range.lowerBound, range.upperBound)
    }
    guard unsafe fdwatch_openers_attach(loaded) == 0 else {
      let error = errno
      unsafe fdwatch_openers_free(loaded)
      throw OpenersError(step: "attaching a BPF program", errno: error)
    }
    // What is open now, and was not seen being opened, was before.
    var numbers: [Int32] = []
    do throws(ProcfsError) { numbers = try directory.openNumbers() } catch {
      unsafe fdwatch_openers_free(loaded)
      throw .process(error)
    }
    unsafe openers = loaded
    before = Set(numbers)
    self.code = code
    codeIsDue = .now + Self.codePause
  }

  /// The process goes on unseen; what is known of it is kept.
  package func detach() { unsafe fdwatch_openers_detach(openers) }

  deinit { unsafe fdwatch_openers_free(openers) }

  private static func target(
    _ directory: borrowing ProcessDirectory, mainStack: UInt64
  ) throws(ProcfsError) -> fdwatch_openers_target {
    var target = fdwatch_openers_target()
    target.pid = UInt32(bitPattern: directory.pid)
    target.main_stack = mainStack
    let space = try directory.pidNamespace()
    if space.inode != firstNamespace {
      target.pid = UInt32(bitPattern: try directory.innermostPid())
      (target.namespace_major, target.namespace_minor) = (space.major, space.minor)
      target.namespace_inode = space.inode
    }
    return target
  }

  package var counts: OpenerCounts {
    let counts = rawCounts
    return OpenerCounts(
      openings: Int(clamping: counts.openings), copies: Int(clamping: counts.copies),
      lost: Int(clamping: counts.lost) + dropped, beyond: Int(clamping: counts.beyond),
      foreign: Int(clamping: counts.foreign))
  }

  /// It has executed another program: what was copied before does not speak of it.
  package var wasReplaced: Bool { rawCounts.replaced != 0 }

  private var rawCounts: fdwatch_openers_counts {
    var counts = fdwatch_openers_counts()
    unsafe fdwatch_openers_read_counts(openers, &counts)
    return counts
  }

  /// Takes in what has been copied since: twenty times a second, so that the ring does not fill.
  package func read(_ directory: borrowing ProcessDirectory) {
    if Instant.now >= codeIsDue {
      codeIsDue = .now + Self.codePause
      for range in (try? directory.codeRanges(most: Self.mostRanges).code) ?? [] {
        code.add(range)
        unsafe fdwatch_openers_add_code(openers, range.lowerBound, range.upperBound)
      }
    }
    for _ in 0..<Self.mostRecords {
      let size = unsafe fdwatch_openers_next(openers, &record, record.count)
      if size == 0 { break }
      if let found = StackRecord(Array(record.prefix(size))) { take(found) }
    }
  }

  private func take(_ record: StackRecord) {
    if store.add(record, code) { return }
    // No room: those go that nothing open was opened by.
    var wanted: Set<UInt64> = []
    for number in 0..<Int32(clamping: fdwatch_openers_most_descriptors()) { wanted.insert(event(number).fingerprint) }
    for key in store.keep(wanted) { unsafe fdwatch_openers_forget(openers, key) }
    if store.add(record, code) { return }
    dropped += 1
    unsafe fdwatch_openers_forget(openers, record.fingerprint)
  }

  private func event(_ number: Int32) -> LastEvent {
    var event = LastEvent(time: 0, fingerprint: 0)
    unsafe fdwatch_openers_latest(openers, UInt32(bitPattern: number), &event.time, &event.fingerprint)
    return event
  }

  /// What is open of what was opened, while it is traced still.
  /// - Parameter grace: what has been open for a shorter time may be in use.
  package func survivors(
    _ directory: borrowing ProcessDirectory, grace: Duration
  ) throws(ProcfsError) -> Survivors {
    read(directory)
    let listed = Instant.now
    let numbers = try directory.openNumbers()
    let latest = (listed - grace).sinceBoot.nanoseconds
    return Survivors(
      numbers, before: before, latest: UInt64(clamping: latest),
      listed: UInt64(clamping: listed.sinceBoot.nanoseconds), has: { store.entries[$0] != nil }, event: event)
  }

  /// The stacks of survivors, as they go to the helper, the most first; and the system call that opened each descriptor.
  package func groups(of survivors: Survivors) -> [OpenedGroup] {
    survivors.opened.compactMap { fingerprint, numbers in
      store.entries[fingerprint].map { entry in
        OpenedGroup(
          call: unsafe fdwatch_openers_call(entry.call).map { unsafe String(cString: $0) } ?? "?",
          group: CopiedStacks.Group(copies: entry.copies, descriptors: numbers.sorted()))
      }
    }.sorted {
      ($0.group.descriptors.count, $1.group.descriptors.first ?? 0)
        > ($1.group.descriptors.count, $0.group.descriptors.first ?? 0)
    }
  }
}

/// Descriptors that were opened alike.
package struct OpenedGroup: Sendable {
  package var call: String
  package var group: CopiedStacks.Group

  package init(call: String, group: CopiedStacks.Group) { (self.call, self.group) = (call, group) }
}
