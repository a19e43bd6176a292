// SPDX-License-Identifier: Apache-2.0
// Reading one process. See proc(5).

import Descriptors
import Linux

/// One process, as its directory under `/proc` shows it.
///
/// The directory is opened once (`O_PATH`: a handle for look-ups that keeps nothing alive) and every file is then looked
/// up in it. So all reads speak of the same process: once it has exited they throw ``ProcfsError/gone``, even if the
/// kernel has already given its number to another.
package struct ProcessDirectory: ~Copyable {
  package let pid: Int32
  /// Clock ticks between boot and the start of the process.
  package let startTime: UInt64
  /// Runs in the kernel, and has no descriptors.
  package let isKernelThread: Bool
  let isLive: Bool
  private let counting: Procfs.Counting
  let directory: Descriptor
  /// The directory of `fd`, `fdinfo` and `net`, within ``directory``: usually itself. See ``followLivingThread()``.
  private(set) var table = ""

  /// Files of procfs that matter here are a few hundred bytes; an `fdinfo` or a table of sockets may be long.
  private static let smallFile = 64 << 10
  private static let longestInfo = 64 << 20

  package init(pid: Int32, in procfs: borrowing Procfs) throws(ProcfsError) {
    let name = String(pid)
    let found = try Self.reading(name) { () throws(SystemCallError) in try Descriptor(path: name, in: procfs.root) }
    let stat = try Self.stat(in: found)
    startTime = stat.startTime
    isKernelThread = stat.isKernelThread
    directory = found
    self.pid = pid
    isLive = procfs.isLive
    counting = procfs.counting
  }

  private static func stat(in directory: borrowing Descriptor) throws(ProcfsError) -> ProcessStat {
    let stat: [UInt8]
    do {
      stat = try directory.contents(of: "stat", limit: smallFile)
    } catch {
      throw ProcfsError(error, file: "stat")
    }
    return try ProcessStat(stat: stat)
  }

  private static func reading<Value: ~Copyable>(
    _ file: String, _ body: () throws(SystemCallError) -> Value
  ) throws(ProcfsError) -> Value {
    do { return try body() } catch { throw ProcfsError(error, file: file) }
  }

  /// Type and inode of one of its files.
  func node(of file: String) throws(SystemCallError) -> (type: FileType, inode: UInt64) { try directory.node(file) }

  /// A handle for look-ups (`O_PATH`) of one of its files, or of what one of its links leads to.
  package func handle(of file: String) throws(SystemCallError) -> Descriptor {
    try Descriptor(path: table + file, in: directory)
  }

  /// One of its files, opened for reading.
  func openFile(_ file: String) throws(SystemCallError) -> Descriptor {
    try Descriptor(reading: table + file, in: directory)
  }

  /// The first bytes of one of its files, however long it is.
  private func beginning(of file: String, bytes: Int) throws(ProcfsError) -> [UInt8] {
    try Self.reading(file) { () throws(SystemCallError) in
      try Descriptor(reading: file, in: directory).beginning(bytes)
    }
  }

  /// Hands out one of its files piece by piece, for what is long and of which little is kept.
  /// - Parameters:
  ///   - most: bytes that are read; what follows is left unread.
  ///   - body: whether to go on.
  func readPieces(of file: String, most: Int, _ body: ([UInt8]) -> Bool) throws(ProcfsError) {
    try Self.reading(file) { () throws(SystemCallError) in
      let opened = try Descriptor(reading: file, in: directory)
      var left = most
      while left > 0 {
        let piece = try opened.beginning(min(left, Self.smallFile))
        if piece.isEmpty || !body(piece) { return }
        left -= piece.count
      }
    }
  }

  /// The bytes of one of its files.
  package func contents(of file: String, limit: Int = Self.smallFile) throws(ProcfsError) -> [UInt8] {
    try Self.reading(file) { () throws(SystemCallError) in try directory.contents(of: file, limit: limit) }
  }
}

// MARK: Counting

extension ProcessDirectory {
  /// How many descriptors it has open.
  ///
  /// The count of a process that has let go of its table is 0, as is that of one which has closed everything: where it
  /// matters, ask ``explainEmptyTable()``.
  package func count() throws(ProcfsError) -> Int {
    switch counting {
    case .bySize:
      let name = table.isEmpty ? "fd" : table + "fd"
      return try Self.reading("fd") { () throws(SystemCallError) in try directory.size(of: name) }
    case .byListing:
      var numbers: [Int32] = []
      try list(into: &numbers)
      return numbers.count
    }
  }

  /// Counts, and where nothing is counted finds out why: follows a table to another thread, and tells an exit.
  ///
  /// - Throws: also ``ProcfsError/zombie``.
  package mutating func countOrExplain() throws(ProcfsError) -> Int {
    do {
      let count = try self.count()
      if count > 0 { return count }
    } catch .gone where !table.isEmpty {
      // The thread that was followed has exited; the process may live on in others.
      table = ""
    } catch .denied(let file, let missing) {
      // A main thread that has exited closes its directory to its own user, too.
      guard table.isEmpty, try ProcessStat(stat: contents(of: "stat")).state == "Z" else {
        throw .denied(file: file, missing: missing)
      }
    }
    try explainEmptyTable()
    return try count()
  }

  /// The numbers of all open descriptors, ascending. Where there are more than `most`, some more of them than that.
  func list(into numbers: inout [Int32], most: Int = .max) throws(ProcfsError) {
    try openDirectory("fd").reading("fd") { (fd: borrowing NumberedDirectory) throws(SystemCallError) in
      try fd.list(into: &numbers, most: most)
    }
  }

  /// The same, of a process that goes on living.
  package func openNumbers() throws(ProcfsError) -> [Int32] {
    var numbers: [Int32] = []
    try list(into: &numbers)
    return numbers
  }

  /// `fd` or `fdinfo`, opened for one walk.
  func openDirectory(_ name: String) throws(ProcfsError) -> NumberedDirectory {
    try Self.reading(name) { () throws(SystemCallError) in try NumberedDirectory(table + name, in: directory) }
  }

  /// Tells an empty table from one that cannot be seen.
  ///
  /// A dying process keeps its directory with an empty `fd/` until it is collected, and one whose main thread has
  /// exited shows its table only under another thread: both look as if all had been closed.
  /// - Throws: ``ProcfsError/zombie`` or ``ProcfsError/gone``.
  package mutating func explainEmptyTable() throws(ProcfsError) {
    let stat = try ProcessStat(stat: contents(of: "stat"))
    if stat.state == "X" { throw .gone }
    if stat.hasExited { throw .zombie }
    if stat.state == "Z" {
      try followLivingThread()
    } else if try ProcessStatus(status: contents(of: "status")).tableSize == 0 {
      // It is exiting and has let go of its table already.
      throw .zombie
    }
  }

  /// Why a look was denied: while a process exits, the kernel gives its directories to root.
  package func explainDenial(_ denial: ProcfsError) -> ProcfsError {
    guard let text = try? contents(of: "stat"), let stat = try? ProcessStat(stat: text) else { return .gone }
    if stat.hasExited || stat.isExiting { return .zombie }
    guard let status = try? ProcessStatus(status: contents(of: "status")) else { return denial }
    return status.tableSize == 0 ? .zombie : denial
  }

  private mutating func followLivingThread() throws(ProcfsError) {
    table = ""
    var threads: [Int32] = []
    try openDirectory("task").reading("task") { (tasks: borrowing NumberedDirectory) throws(SystemCallError) in
      try tasks.list(into: &threads)
    }
    for thread in threads where thread != pid {
      let folder = "task/\(thread)/"
      guard let text = try? contents(of: folder + "stat"), let stat = try? ProcessStat(stat: text), stat.state != "Z",
        stat.state != "X",
        // One that is exiting has let go of the table, too, though it is no zombie yet: then all would look closed.
        let status = try? ProcessStatus(status: contents(of: folder + "status")), status.tableSize > 0
      else { continue }
      table = folder
      return
    }
    throw .zombie
  }
}

extension NumberedDirectory {
  /// Runs calls on the directory and says of which file an error speaks.
  borrowing func reading<Value>(
    _ file: String, _ body: (borrowing NumberedDirectory) throws(SystemCallError) -> Value
  ) throws(ProcfsError) -> Value {
    do { return try body(self) } catch { throw ProcfsError(error, file: file) }
  }
}

extension ProcessDirectory {
  /// Tries what a census does, on one descriptor: to list, and to read a link.
  ///
  /// Listing takes the right to search the directory, the links and `fdinfo` that to trace the process: one may
  /// be there without the other. See ptrace(2), "Ptrace access mode checking".
  /// - Throws: ``ProcfsError/denied``.
  package func checkAccess() throws(ProcfsError) {
    var numbers: [Int32] = []
    let fd = try openDirectory("fd")
    try fd.reading("fd") { (fd: borrowing NumberedDirectory) throws(SystemCallError) in try fd.list(into: &numbers) }
    guard let first = numbers.first else { return }
    _ = try fd.reading("fd/\(first)") { (fd: borrowing NumberedDirectory) throws(SystemCallError) in
      try fd.withLink(first) { _ in }
    }
  }
}

// MARK: Who it is

/// Who a process is, for people: none of it decides anything.
package struct ProcessIdentity: Sendable, Equatable {
  package var pid: Int32
  /// The name that the process gave itself: at most 15 bytes of anything.
  package var command: String
  /// The path of its executable, where we may see it.
  package var executable: String?
  package var user: UInt32
  /// Clock ticks between boot and its start: with the pid it names the process for good.
  package var startTime: UInt64
}

extension ProcessDirectory {
  package func limits() throws(ProcfsError) -> Limits { try Limits(limits: contents(of: "limits")) }

  /// Who it is, or `nil` if it has the name that is known: it has not executed another program.
  package func identity(unless known: ProcessIdentity) throws(ProcfsError) -> ProcessIdentity? {
    try command() == known.command ? nil : identity()
  }

  /// The name that it gave itself.
  package func command() throws(ProcfsError) -> String {
    let name = try contents(of: "comm")
    return (name.last == UInt8(ascii: "\n") ? name.dropLast() : name[...]).text
  }

  package func identity() throws(ProcfsError) -> ProcessIdentity {
    ProcessIdentity(
      pid: pid,
      command: try command(),
      executable: (try? directory.link("exe")) ?? nil,
      user: try ProcessStatus(status: contents(of: "status")).user,
      startTime: startTime
    )
  }

  /// The beginning of its command line, with spaces between the arguments; empty if it has none.
  ///
  /// Only a beginning: a process chooses how many megabytes it has (with an unlimited stack, 6 MB), and a million
  /// arguments are a million strings. Do not keep it for each process.
  package func commandLine(upTo bytes: Int) throws(ProcfsError) -> String {
    var text = try beginning(of: "cmdline", bytes: bytes)
    while text.last == 0 { text.removeLast() }
    for index in text.indices where text[index] == 0 { text[index] = UInt8(ascii: " ") }
    return text[...].text
  }

  /// What a person is shown of a command line at most: one page, as kernels before 4.2 had it.
  package static let shownCommandLine = 4096
  /// What rules see of a command line: a Java class behind a long class path is within.
  package static let matchedCommandLine = 32 << 10

  /// The path of its executable, where we may see it.
  package var executable: String? { (try? directory.link("exe")) ?? nil }

  /// The effective user.
  package func user() throws(ProcfsError) -> UInt32 { try ProcessStatus(status: contents(of: "status")).user }

  /// The path of its control group, in the unified hierarchy. See cgroups(7).
  package func controlGroup() throws(ProcfsError) -> String? {
    let text = try contents(of: "cgroup")
    return lines(text[...]).lazy.compactMap { $0.after("0::") }.first.map(\.text)
  }

  /// Whether it has not exited.
  package var isAlive: Bool {
    get throws(ProcfsError) { try !ProcessStat(stat: contents(of: "stat")).hasExited }
  }

  /// What one of its descriptors refers to, or `nil` where it was closed.
  package func target(of number: Int32) throws(ProcfsError) -> String? {
    try openDirectory("fd").reading("fd") { (fd: borrowing NumberedDirectory) throws(SystemCallError) in
      try fd.withLink(number) { String(repairing: $0) }
    }
  }

  /// The names of its descriptors and what they refer to, one by one, for whoever looks closer: at most so many, and none
  /// after one for which the answer is false. They are not collected here: a target may have 4 KiB.
  package func forEachTarget(most: Int, _ body: (Int32, String) -> Bool) throws(ProcfsError) {
    let fd = try openDirectory("fd")
    var numbers: [Int32] = []
    try fd.reading("fd") { (fd: borrowing NumberedDirectory) throws(SystemCallError) in
      try fd.list(into: &numbers, most: most)
      for number in numbers.prefix(most) {
        guard let target = try fd.withLink(number, { String(repairing: $0) }) else { continue }
        if !body(number, target) { return }
      }
    }
  }

  /// Whose network namespace it has. See network_namespaces(7).
  package enum Network: Sendable, Equatable {
    case ours
    /// That of the first process, where ours is another one: `PrivateNetwork=yes` of systemd.exec(5).
    case host
    case another
  }

  /// Ours also where it cannot be told.
  package var network: Network {
    guard let own = try? Descriptor(path: "/proc/self").link("ns/net"), let its = try? directory.link("ns/net") else {
      return .ours
    }
    if own == its { return .ours }
    return (try? Descriptor(path: "/proc/1").link("ns/net")) == its ? .host : .another
  }

  /// Names its pid namespace.
  package func pidNamespace() throws(ProcfsError) -> (major: UInt32, minor: UInt32, inode: UInt64) {
    let found = try Self.reading("ns/pid") { () throws(SystemCallError) in
      try Descriptor(path: "ns/pid", in: directory).identity()
    }
    return (found.major, found.minor, found.inode)
  }

  /// Its number as it sees it itself, in the innermost namespace. See pid_namespaces(7).
  package func innermostPid() throws(ProcfsError) -> Int32 {
    let status = try contents(of: "status")
    for line in lines(status[...]) {
      if let numbers = line.after("NSpid:"), let last = words(numbers).last?.unsigned() { return Int32(clamping: last) }
    }
    return pid
  }

  /// A variable of the environment that it was started with. `nil` also where it is closed to us, and where the value is
  /// longer than a path can be.
  ///
  /// Read piece by piece: an environment of millions of variables takes no more memory than an ordinary one.
  package func environment(_ name: String) -> String? {
    var search = EnvironmentSearch(for: name)
    var found: String?
    try? readPieces(of: "environ", most: Self.longestEnvironment) { piece in
      found = search.take(piece)
      return found == nil
    }
    return found ?? search.end()
  }

  /// Arguments and environment together have at most 6 MB (three quarters of `_STK_LIM` in the kernel's fs/exec.c); only
  /// with `PR_SET_MM` of prctl(2) can a process show more.
  private static let longestEnvironment = 6 << 20

  /// What `fdinfo` tells of one descriptor, or `nil` if it is not open any more.
  package func details(of number: Int32) throws(ProcfsError) -> DescriptorDetails? {
    let text = try openDirectory("fdinfo").reading("fdinfo/\(number)") {
      (fdinfo: borrowing NumberedDirectory) throws(SystemCallError) in
      try fdinfo.contents(number, limit: Self.longestInfo)
    }
    return text.map(DescriptorDetails.init(fdinfo:))
  }
}
