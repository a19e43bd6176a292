// SPDX-License-Identifier: Apache-2.0
// The socket tables of the namespaces that are watched, each read once for all its processes.

import Linux

/// What all tables of one network namespace told at one time, to be looked up by inode.
package struct SocketSnapshot: Sendable {
  /// When reading them began.
  package let taken: Instant
  /// No table was closed to us, or longer than any that we read: what is in none is in none.
  package var isComplete = true
  private var texts: [(table: SocketTable, text: [UInt8])] = []
  /// Ascending by inode; where one has several lines, in the order of the tables.
  private var lines: [Line] = []

  private struct Line {
    var inode: UInt32
    var start: UInt32
    var end: UInt32
    var table: UInt8
  }

  init(taken: Instant, tables: [(SocketTable, [UInt8])]) {
    self.taken = taken
    for (table, text) in tables {
      let index = UInt8(texts.count)
      texts.append((table, text))
      table.forEachLine(in: text) { inode, line in
        lines.append(
          Line(
            inode: UInt32(truncatingIfNeeded: inode), start: UInt32(line.lowerBound), end: UInt32(line.upperBound),
            table: index))
      }
    }
    lines.sort { ($0.inode, $0.table) < ($1.inode, $1.table) }
  }

  /// The socket of an inode, or `nil` if no table has it: one that is neither bound nor connected is in none.
  package subscript(inode: UInt32) -> SocketEntry? {
    var position = firstLine { $0.inode > inode }
    while position > 0, lines[position - 1].inode == inode {
      position -= 1
      let line = lines[position]
      let (table, text) = texts[Int(line.table)]
      if let entry = table.entry(text[Int(line.start)..<Int(line.end)], inode: UInt64(inode)) { return entry }
    }
    return nil
  }

  /// The first position whose line satisfies what all later ones do, too.
  private func firstLine(where isPast: (Line) -> Bool) -> Int {
    var (low, high) = (0, lines.count)
    while low < high {
      let middle = (low + high) / 2
      if isPast(lines[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}

extension ProcessDirectory {
  /// Reads the socket tables of the process's own network namespace. No privilege is needed, and it is not entered.
  ///
  /// This takes the kernel a millisecond even where there is no socket (it walks a hash table that is sized by the
  /// machine's memory), and more where there are many: ask ``SocketTables`` instead.
  package func sockets() throws(ProcfsError) -> SocketSnapshot {
    let began = Instant.now
    var tables: [(SocketTable, [UInt8])] = []
    var isAnyMissing = false
    var isComplete = true
    var room = Self.longestTables
    for table in SocketTable.allCases {
      do {
        let text = try contents(of: self.table + "net/" + table.rawValue, limit: room)
        room -= text.count
        tables.append((table, text))
      } catch .gone {
        isAnyMissing = true
      } catch {
        // Its sockets stay what they are without it: sockets.
        isComplete = false
      }
    }
    // Not built into this kernel, or the process has exited: then this throws.
    if isAnyMissing { _ = try contents(of: "stat") }
    var snapshot = SocketSnapshot(taken: began, tables: tables)
    snapshot.isComplete = isComplete
    return snapshot
  }

  /// Of all tables of a namespace together: 100,000 sockets, which whoever lets their number grow may do on purpose. While
  /// they are read they take twice as much, and the service has 64 MB (`MemoryMax=`).
  static let longestTables = 16 << 20

  /// What tells its network namespace from others: each has files of its own in `net/`.
  fileprivate var networkNamespace: UInt64? {
    for table in [SocketTable.tcp, .unix] {
      if let node = try? node(of: self.table + "net/" + table.rawValue) { return node.inode }
    }
    return nil
  }
}

/// The last reading of each network namespace, for all processes that are watched in it.
package final class SocketTables {
  private var readings: [UInt64: Reading] = [:]

  /// How long to leave the tables alone after a reading that took `cost`: a fifth of a percent of one core while that
  /// means some seconds, and 2 % where there are so very many sockets that it would mean minutes.
  private static func pause(_ cost: Duration) -> Duration { min(cost / 0.002, max(.seconds(10), cost / 0.02)) }

  private struct Reading {
    var snapshot: SocketSnapshot?
    /// When they may be read again.
    var next: Instant
  }

  init() {}

  /// The sockets of a process's namespace.
  ///
  /// - Parameter earliest: what was read before is too old.
  /// - Returns: `nil` if it is too early to read them again: ask at a later poll.
  package func snapshot(
    of process: borrowing ProcessDirectory, since earliest: Instant
  ) throws(ProcfsError) -> SocketSnapshot? {
    let namespace = process.networkNamespace
    let began = Instant.now
    if let namespace, let reading = readings[namespace] {
      if let snapshot = reading.snapshot, snapshot.taken >= earliest { return snapshot }
      if began < reading.next { return nil }
    }
    let snapshot = try process.sockets()
    if let namespace {
      let end = Instant.now
      readings[namespace] = Reading(snapshot: snapshot, next: end + Self.pause(end - began))
    }
    return snapshot
  }

  /// Lets go of what was read, which may be megabytes. To be called when all processes have been looked at.
  package func roundEnded() {
    forgetOld()
    for namespace in readings.keys { readings[namespace]?.snapshot = nil }
  }

  /// Lets go of what may be read anew. To be called now and then where processes are not looked at all at once: what one
  /// of them had read serves the others until then.
  package func forgetOld() {
    let now = Instant.now
    readings = readings.filter { $0.value.next >= now }
  }
}
