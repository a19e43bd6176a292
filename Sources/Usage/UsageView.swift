// SPDX-License-Identifier: Apache-2.0
// Everything that one look reads, before it is asked about single descriptors.

import Descriptors
import Linux
import Procfs

/// A process and its surroundings at one moment, as far as they could be seen within bounds.
struct UsageView {
  /// Links of the process itself: 5 µs each.
  private static let mostOwn = 8192
  /// Links of its descendants, and then of all others.
  private static let mostOfDescendants = 20_000
  private static let mostThreads = 256
  /// Printing an epoll instance takes its lock for 5 µs a target: not where there may be tens of thousands.
  private static let mostForEpolls = 4096
  private static let mostEpolls = 64
  private static let longestDetails = 256 << 10

  let pid: Int32
  let threads: Int?
  /// Its living children, or, where those have ended, what descends from them.
  let children: Int?
  private let tree: ProcessTree
  private let descendants: Set<Int32>
  /// Its own, by number; `nil` where there are too many.
  private let own: [Int32: HeldDescriptor]?
  private var holders: [HeldObject: [Holder]] = [:]
  /// Objects that no other process has.
  private var unheld: Set<HeldObject> = []
  private let isConclusive: Bool
  private var waited: Set<Int32>
  private var registered: Set<Int32> = []
  private var areTargetsKnown = true
  private var areRegistrationsKnown = true
  private var sockets = SocketDiagnosis(wanted: [])
  /// Numbers of pseudoterminals, by the descriptor of their upper end.
  private var masters: [Int32: UInt64] = [:]
  /// Inodes.
  private var mapped: Set<UInt64>?

  private struct Holder {
    var pid: Int32
    var held: HeldDescriptor
  }

  init(
    _ suspects: [UsageSuspect], of process: borrowing ProcessDirectory, in procfs: borrowing Procfs,
    waiting: inout WaitHistory, sweep: inout Sweep
  ) {
    let kinds = Set(suspects.map(\.kind))
    pid = process.pid
    let waits = try? process.threadWaits(most: Self.mostThreads)
    waiting.take(waits?.waits ?? [], isComplete: waits.map { $0.waits.count == $0.threads } ?? false)
    threads = waits?.threads
    isConclusive = waiting.isConclusive
    waited = Set(waiting.waitedOn)

    let tree = (try? procfs.tree()) ?? ProcessTree()
    self.tree = tree
    descendants = tree.descendants(of: process.pid)
    let direct = tree.children(of: process.pid)
    children = tree.isLiving(process.pid) ? (direct > 0 ? direct : descendants.count) : nil

    var room = Self.mostOwn
    let listed = try? process.heldObjects(most: Self.mostOwn, room: &room) { _ in true }
    own = (listed ?? nil).map { Dictionary($0.held.map { ($0.number, $0) }) { first, _ in first } }
    readEpolls(of: process, &waiting)

    if kinds.contains(.pty) {
      for suspect in suspects where suspect.kind == .pty {
        for member in suspect.survivors {
          masters[member.number] = process.details(of: member.number, most: 4096)?.terminalIndex
        }
      }
    }
    sockets = Self.askSockets(suspects, kinds, own, process)
    mapped = kinds.contains(.memfd) ? try? process.mappedInodes() : nil
    readHolders(suspects, in: procfs, &sweep)
  }

  private static func askSockets(
    _ suspects: [UsageSuspect], _ kinds: Set<Kind>, _ own: [Int32: HeldDescriptor]?,
    _ process: borrowing ProcessDirectory
  ) -> SocketDiagnosis {
    let (tcp, unix) = (kinds.contains(.tcp), kinds.contains(.unix))
    var wanted: Set<UInt64> = []
    for suspect in suspects where suspect.kind == .tcp || suspect.kind == .unix {
      for member in suspect.survivors {
        if case .socket(let inode) = own?[member.number]?.object { wanted.insert(inode) }
      }
    }
    // What another namespace's sockets do is not told to us.
    guard !wanted.isEmpty, process.network == .ours else { return SocketDiagnosis(wanted: []) }
    return .ask(about: wanted, tcp: tcp, unix: unix)
  }
}

// MARK: Event loops

extension UsageView {
  private mutating func readEpolls(of process: borrowing ProcessDirectory, _ waiting: inout WaitHistory) {
    guard let own, own.count <= Self.mostForEpolls, !waiting.isHeldUp else {
      (areTargetsKnown, areRegistrationsKnown) = (false, false)
      return
    }
    let all = own.values.filter { $0.object == .epoll }.map(\.number)
    // Those that are waited on first: what they watch is waited on, too.
    let ordered = all.filter(waited.contains).sorted() + all.filter { !waited.contains($0) }.sorted()
    var targets: [Int32: [Int32]] = [:]
    let read = GuardedReading.details(
      of: Array(ordered.prefix(Self.mostEpolls)), process, most: Self.longestDetails)
    if read == nil { waiting.noteHeldUp() }
    for (number, details) in read ?? [:] {
      let open = details.epollTargets.filter { isSame($0, own[$0.descriptor]) }.map(\.descriptor)
      targets[number] = open
      registered.formUnion(open)
    }
    areRegistrationsKnown = targets.count == all.count
    var following = all.filter(waited.contains)
    var done: Set<Int32> = []
    while let next = following.popLast() {
      guard done.insert(next).inserted else { continue }
      guard let watched = targets[next] else {
        areTargetsKnown = false
        continue
      }
      waited.formUnion(watched)
      following += watched.filter { own[$0]?.object == .epoll }
    }
  }

  /// A target's number is that of its registration: it may have been closed and given to another.
  private func isSame(_ target: DescriptorDetails.EpollTarget, _ held: HeldDescriptor?) -> Bool {
    switch held?.object {
    case .pipe(let inode), .socket(let inode): target.inode.map { $0 == inode } ?? true
    default: true
    }
  }

  /// `nil` where it cannot be told.
  func isRegistered(_ number: Int32) -> Bool? {
    registered.contains(number) ? true : areRegistrationsKnown ? false : nil
  }

  private func isWaitedOn(_ number: Int32) -> Bool? {
    waited.contains(number) ? true : isConclusive && areTargetsKnown ? false : nil
  }

  /// A loop of its own for each thread at most, or one that a thread waits on.
  private func isUnattended(_ number: Int32) -> Bool? {
    guard let own, let threads else { return nil }
    if own.values.count(where: { $0.object == .epoll }) <= threads { return false }
    return isWaitedOn(number).map { !$0 }
  }
}

// MARK: Other ends

extension UsageView {
  private mutating func readHolders(_ suspects: [UsageSuspect], in procfs: borrowing Procfs, _ sweep: inout Sweep) {
    var wanted: Set<HeldObject> = []
    for suspect in suspects {
      for member in suspect.survivors {
        if let object = otherEnd(of: member.number, suspect.kind) { wanted.insert(object) }
      }
    }
    guard !wanted.isEmpty, let own else { return }
    for held in own.values where wanted.contains(held.object) {
      holders[held.object, default: []].append(Holder(pid: pid, held: held))
    }
    var room = Self.mostOfDescendants
    for child in descendants.sorted() { read(child, wanted, &room, in: procfs) }
    let (ourselves, tree, pid) = (Host.ownPID, tree, pid)
    sweep.go(
      for: wanted.filter { !isAccountedFor($0) },
      through: tree.pids.filter { $0 != pid && $0 != ourselves && tree.isLiving($0) },
      passingOver: { tree.isOlder($0, than: pid) }, in: procfs)
    unheld = sweep.unheld
  }

  /// Where a child has it, or both ends are here, a further search would change nothing.
  private func isAccountedFor(_ object: HeldObject) -> Bool {
    let known = holders[object] ?? []
    if known.contains(where: { $0.pid != pid }) { return true }
    switch object {
    case .pipe: return known.contains { $0.held.canRead } && known.contains { $0.held.canWrite }
    case .socket: return !known.isEmpty
    default: return false
    }
  }

  private mutating func read(_ pid: Int32, _ wanted: Set<HeldObject>, _ room: inout Int, in procfs: borrowing Procfs) {
    guard let child = try? ProcessDirectory(pid: pid, in: procfs),
      let found = try? child.heldObjects(most: Self.mostOfDescendants, room: &room, where: wanted.contains)
    else { return }
    for held in found.held { holders[held.object, default: []].append(Holder(pid: pid, held: held)) }
  }

  private func otherEnd(of number: Int32, _ kind: Kind) -> HeldObject? {
    switch (kind, own?[number]?.object) {
    case (.pipe, .pipe(let inode)?): .pipe(inode)
    case (.pty, .terminalMaster?): masters[number].map { .terminal($0) }
    case (.unix, .socket(let inode)?):
      sockets.unix[inode]?.peer.flatMap { $0 == 0 ? nil : HeldObject.socket(UInt64($0)) }
    default: nil
    }
  }

  /// Who has the other end.
  private struct Ends {
    var here: [Int32] = []
    var isChilds = false
    /// It is a child's standard input, output or error.
    var isStandard = false
  }

  private func ends(of number: Int32, _ object: HeldObject) -> Ends {
    var ends = Ends()
    let held = own?[number]
    for holder in holders[object] ?? [] {
      if case .pipe = object, let held {
        // The other end, and not a duplicate of this one.
        let isOther = held.canRead ? holder.held.canWrite : holder.held.canRead
        if !isOther || (holder.pid == pid && holder.held.number == number) { continue }
      }
      if holder.pid == pid {
        ends.here.append(holder.held.number)
      } else {
        ends.isChilds = true
        if holder.held.number <= 2 { ends.isStandard = true }
      }
    }
    if case .terminal(let index) = object {
      for child in descendants where tree.isTerminal(index, of: child) { ends.isChilds = true }
    }
    return ends
  }

  /// Of a pipe or a pair of sockets: whether nobody can use it, and whether a child has the other end.
  private func endSigns(of number: Int32, _ ends: Ends, isUnheld: Bool) -> [UsageSign: Bool] {
    let isHeldByChild = ends.isStandard || (ends.isChilds && ends.here.isEmpty)
    var signs: [UsageSign: Bool] = [.heldByChild: isHeldByChild]
    if isHeldByChild {
      signs[.abandoned] = false
    } else if !ends.here.isEmpty {
      // A pipe's ends in one process wake a loop of it, or are forgotten; what a fork inherited of them means nothing.
      let waits = ([number] + ends.here).map(isWaitedOn)
      if waits.contains(true) { signs[.abandoned] = false } else if !waits.contains(nil) { signs[.abandoned] = true }
    } else if isUnheld {
      signs[.abandoned] = true
    }
    return signs
  }
}

// MARK: One descriptor

extension UsageView {
  struct Signs {
    var identity: UInt64 = 0
    /// What could be seen.
    var signs: [UsageSign: Bool] = [:]
    var bytes: UInt64?
  }

  /// Connections that are younger have not had time to be idle.
  private static let youngest = 60.0
  private static let idle: UInt32 = 30_000

  func signs(of member: UsageSuspect.Member, _ suspect: UsageSuspect, _ process: borrowing ProcessDirectory) -> Signs {
    var found = Signs()
    let number = member.number
    if suspect.kind.isWaitable {
      found.signs[.waitedOn] = isWaitedOn(number)
      found.signs[.registered] = isRegistered(number)
    }
    switch own?[number]?.object {
    case .pipe(let inode), .socket(let inode): found.identity = inode
    case .terminal, .terminalMaster: found.identity = masters[number] ?? 0
    default: break
    }
    switch suspect.kind {
    case .pipe, .pty:
      if let object = otherEnd(of: number, suspect.kind) {
        take(ends(of: number, object), suspect.kind, number, isUnheld: unheld.contains(object), &found)
      }
    case .unix: takeUnix(number, &found)
    case .tcp: takeTCP(member, &found)
    case .eventpoll:
      found.signs[.unattended] = isUnattended(number)
    case .timerfd:
      if let timer = process.details(of: number, most: 4096)?.timer {
        found.signs[.timerIdle] = timer.value == .zero || timer.ticks > 0
      }
    case .inotify:
      if let details = process.details(of: number, most: Self.longestDetails) {
        found.signs[.watchesNothing] = details.inotifyWatches.isEmpty
      }
    case .pidfd:
      // 0 is a process of another namespace.
      if let target = process.details(of: number, most: 4096)?.pidfdProcess, target != 0 {
        found.identity = UInt64(UInt32(bitPattern: target))
        if target < 0 { found.identity = 0 }
        found.signs[.processGone] = target < 0 || !tree.isLiving(target)
      }
    case .memfd:
      if let mapped, let inode = process.details(of: number, most: 4096)?.inode {
        found.signs[.mapped] = mapped.contains(inode)
      }
    default: break
    }
    return found
  }

  private func take(_ ends: Ends, _ kind: Kind, _ number: Int32, isUnheld: Bool, _ found: inout Signs) {
    if kind == .pipe {
      found.signs.merge(endSigns(of: number, ends, isUnheld: isUnheld)) { $1 }
      return
    }
    // A terminal's lower end that this process keeps open is of no use to it: it is there for a child.
    found.signs[.heldByChild] = ends.isChilds
    if ends.isChilds {
      found.signs[.abandoned] = false
    } else if isUnheld {
      found.signs[.abandoned] = true
    }
  }

  private func takeUnix(_ number: Int32, _ found: inout Signs) {
    guard case .socket(let inode)? = own?[number]?.object, let use = sockets.unix[inode], use.isConnected else {
      return
    }
    let hasPeer = use.peer.map { $0 != 0 } ?? false
    found.signs[.peerClosed] = !hasPeer
    guard let object = otherEnd(of: number, .unix) else { return }
    // A peer that no one holds waits to be accepted.
    found.signs.merge(endSigns(of: number, ends(of: number, object), isUnheld: false)) { $1 }
  }

  private func takeTCP(_ member: UsageSuspect.Member, _ found: inout Signs) {
    guard case .socket(let inode)? = own?[member.number]?.object, let use = sockets.tcp[inode] else { return }
    found.bytes = use.bytes
    // CLOSE_WAIT of the kernel's include/net/tcp_states.h.
    if use.state == 8 {
      found.signs[.endRead] = use.unread == 0
    } else if member.age >= Self.youngest, let sent = use.sinceSent, let received = use.sinceReceived {
      found.signs[.active] = min(sent, received) < Self.idle
    }
  }
}

extension Kind {
  fileprivate var isWaitable: Bool {
    switch self {
    case .pipe, .pty, .tcp, .udp, .unix, .netlink, .eventfd, .timerfd, .signalfd, .inotify, .pidfd: true
    default: false
    }
  }
}

extension DescriptorDetails {
  /// Of a pseudoterminal's upper end.
  fileprivate var terminalIndex: UInt64? {
    for line in unknown where line.hasPrefix("tty-index:") {
      return UInt64(line.dropFirst(10).drop { $0 == "\t" || $0 == " " })
    }
    return nil
  }
}
