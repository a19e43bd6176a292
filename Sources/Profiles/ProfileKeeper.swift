// SPDX-License-Identifier: Apache-2.0
// When a process is asked for its profiles: at the start, and while something of it looks like a leak.

import Descriptors
import Linux
import Parsing
import Pprof
import Synchronization

/// A source of profiles, as somebody named it.
package struct ProfileSource: Sendable, Hashable {
  package enum Origin: Sendable, Hashable {
    /// Whoever runs fdwatch wrote it down.
    case user
    /// The unit of the process names it: root's word, for paths that the process sees.
    case unit
    /// The process itself named it, or it was found among its sockets: it is asked only there. See ``Claim``.
    case environment, discovered
  }

  package var address: ProfileAddress
  package var options: ProfileOptions
  package var origin: Origin

  package init(_ address: ProfileAddress, options: ProfileOptions = ProfileOptions(), origin: Origin = .user) {
    (self.address, self.options, self.origin) = (address, options, origin)
  }
}

/// What is known of the process that is asked.
package struct ProfiledProcess: Sendable {
  package var pid: Int32
  package var key: ProcessKey
  /// Whose requests and jobs are counted together. See ``FetchQueue``, ``Parser``.
  package var owner: ProcessOwner
  package var user: UInt32
  package var open: Int
  /// Where it takes connections.
  package var listeners: Set<Listener> = []
  package var network = Network.reached
  /// What stands before its paths, for us: it may have mounts of its own.
  package var root: String { "/proc/\(pid)/root" }

  package init(_ key: ProcessKey, owner: ProcessOwner, user: UInt32, open: Int) {
    (pid, self.key, self.owner, self.user, self.open) = (key.pid, key, owner, user, open)
  }

  /// Whether we reach the ports of its network.
  package enum Network: Sendable, Equatable {
    case reached
    /// It has that of the host, and we have none: so our service's sandbox wants it.
    case withheld
    /// It has one of its own, as in a container.
    case another

    /// What can be done; `nil` where nothing need be.
    fileprivate var advice: String? {
      switch self {
      case .reached: nil
      case .withheld:
        "fdwatch.service has no network; with /usr/lib/fdwatch/network.conf it has (fdwatch(1), NETWORK), and a UNIX "
          + "socket is reached in any case"
      case .another: "it is in another network, of which a UNIX socket with a path would be reached"
      }
    }
  }
}

/// Keeps the profiles of one process: asks for them when it is time, one request after the other, and never waits.
package final class ProfileKeeper {
  private var sources: [Kept] = []
  private let discover: ProfileOptions?
  private let limits: ProfileLimits
  private let parser: Parser
  /// Whether names of addresses are looked up: not where that has ended the helper.
  private var withNames = true
  private let mailbox = Mailbox()
  private var probed: Set<Listener> = []
  /// Where the process takes connections, as it was last listed.
  private var listeners: Set<Listener> = []
  /// What was listed is not so any more.
  private var areListenersOld = false
  private var probes: [ProfileSource] = []
  private var isBusy = false
  private var suspicionBegan: Duration?
  private var nextRound = Duration.zero
  private var didBaseline = false
  /// Why addresses of the network may not answer.
  private var networkAdvice: String?
  private var notes: [String] = []
  /// Witnesses that the process does not have.
  private var missing: Set<ProfileAddress> = []
  /// Descriptors that our own connections cost the process.
  package var ownConnections: Int { sources.count { $0.isConnectionKept } > 0 ? 1 : 0 }

  private struct Kept {
    var source: ProfileSource
    var isWitness = false
    /// Wanted in this round.
    var isDue = false
    var isConnectionKept = false
    var file: FileVersion?
    var failures = 0
    var notBefore = Duration.zero
    /// What was last told of it, so that it is told once.
    var problem: ProfileError?
    var isTypeTold = false
    var isCutTold = false
  }

  /// The answers, which come in on another thread.
  private final class Mailbox: Sendable {
    enum Letter: Sendable {
      case read(ProfileSource, Result<ProfileReading?, ProfileError>, cost: Duration)
      case index(ProfileSource, Result<[(name: String, count: Int)], ProfileError>)
      case probe(ProfileSource, isGoPprof: Bool)
    }
    let letters = Mutex<[Letter]>([])

    func put(_ letter: Letter) { letters.withLock { $0.append(letter) } }
    func takeAll() -> [Letter] {
      letters.withLock { letters in
        defer { letters = [] }
        return letters
      }
    }
  }

  /// - Parameter discover: look for profiles among the process's own listening sockets, with these options.
  package init(
    _ sources: [ProfileSource], discover: ProfileOptions? = nil, limits: ProfileLimits = ProfileLimits(),
    parser: Parser
  ) {
    self.sources = sources.map {
      // Goroutines are no descriptors, whoever names them.
      Kept(source: $0, isWitness: Self.witnesses.contains($0.address.profileName))
    }
    self.discover = discover
    (self.limits, self.parser) = (limits, parser)
  }

  /// Why a profile that was promised could not be read when it was last asked for; `nil` if it could.
  package var problem: ProfileError? { sources.lazy.filter { !$0.isWitness }.compactMap(\.problem).first }

  package var isIdle: Bool { sources.isEmpty && discover == nil }

  /// Whether listening sockets are wanted at the next ``tick(at:_:isSuspicious:needsWitness:)``.
  package var needsListeners: Bool {
    if areListenersOld { return true }
    if !didBaseline { return discover != nil || sources.contains { $0.source.origin == .environment } }
    return discover != nil && suspicionBegan != nil && sources.allSatisfy { $0.source.origin != .discovered }
  }

  /// Whether it is wanted by then whose network the process has.
  package var needsNetwork: Bool {
    needsListeners || (!didBaseline && sources.contains { $0.source.address.isOfNetwork })
  }

  /// Takes in what was answered, and asks for what is due.
  /// - Parameters:
  ///   - isSuspicious: something of it may leak: the profiles are worth their cost.
  ///   - needsWitness: something was found, and no profile explains it.
  /// - Returns: profiles that came in, and sentences for a person, each once.
  package func tick(
    at time: Duration, _ process: ProfiledProcess, isSuspicious: Bool, needsWitness: Bool
  ) -> (snapshots: [(snapshot: ProfileSnapshot, taken: Instant)], notes: [String]) {
    defer { notes = [] }
    if needsListeners, process.listeners != listeners { (listeners, areListenersOld) = (process.listeners, false) }
    var snapshots: [(snapshot: ProfileSnapshot, taken: Instant)] = []
    for letter in mailbox.takeAll() {
      isBusy = false
      switch letter {
      case .read(let source, let result, let cost):
        // What is costly to read is read the more rarely: a twentieth of the time at most.
        nextRound = max(nextRound, time + cost * 20)
        snapshots += received(source, result, at: time)
      case .index(let source, let result): received(source, result, process, at: time)
      case .probe(let source, let isGoPprof): probed(source, isGoPprof)
      }
    }
    planRound(at: time, process, isSuspicious: isSuspicious, needsWitness: needsWitness)
    askNext(at: time, process)
    return (snapshots, notes)
  }

  // MARK: When

  /// Often while a leak is young, as a correlation wants several points; rarely when it is old.
  private static func pause(after suspicion: Duration) -> Duration {
    min(max(suspicion / 4, .seconds(2)), .seconds(300))
  }

  private func planRound(at time: Duration, _ process: ProfiledProcess, isSuspicious: Bool, needsWitness: Bool) {
    if isSuspicious {
      if suspicionBegan == nil {
        suspicionBegan = time
        nextRound = time
      }
    } else {
      suspicionBegan = nil
    }
    if !didBaseline {
      didBaseline = true
      networkAdvice = process.network.advice
      dropForeign(process)
      for index in sources.indices { sources[index].isDue = true }
      look(among: process)
    } else if let began = suspicionBegan, time >= nextRound {
      nextRound = time + Self.pause(after: time - began)
      // To list goroutines stops all of them for a moment: only where nothing else tells.
      let isWitnessDue = needsWitness || sources.allSatisfy { $0.isWitness }
      if needsWitness { addWitnesses() }
      for index in sources.indices where !sources[index].isWitness || isWitnessDue { sources[index].isDue = true }
      look(among: process)
    }
  }

  /// What a process says of itself is believed only where it is itself that is asked.
  private func dropForeign(_ process: ProfiledProcess) {
    sources.removeAll { kept in
      guard kept.source.origin == .environment else { return false }
      // The same port of our own network is somebody else's.
      if let advice = networkAdvice, kept.source.address.isOfNetwork {
        notes.append("its environment names \(kept.source.address), which is not asked: \(advice)")
        return true
      }
      if kept.source.address.isEncrypted {
        notes.append(
          "its environment names \(kept.source.address), which is not asked: https is for what the configuration or the "
            + "unit names")
        return true
      }
      if kept.source.address.isServed(by: process.listeners) { return false }
      notes.append(
        "its environment names \(kept.source.address), which is none of the sockets that it listens on: not asked")
      return true
    }
  }

  /// Go's goroutines: each that waits on a connection holds it. Those that wait for what nobody can send any more are a
  /// profile of their own, where the program was built with it (Go 1.26).
  private static let witnesses = ["goroutineleak", "goroutine"]

  /// Adds the witnesses beside a profile of Go's.
  private func addWitnesses() {
    guard !sources.contains(where: { $0.isWitness }) else { return }
    guard let known = sources.first(where: { !$0.source.address.isIndex && $0.source.address.sibling("x") != nil })
    else { return }
    addWitnesses(beside: known.source)
  }

  private func addWitnesses(beside known: ProfileSource) {
    for name in Self.witnesses {
      guard let address = known.address.sibling(name), !missing.contains(address) else { continue }
      var witness = Kept(source: ProfileSource(address, options: known.options, origin: known.origin))
      witness.isWitness = true
      sources.append(witness)
    }
  }

  // MARK: Discovery

  private func look(among process: ProfiledProcess) {
    guard let discover else { return }
    for listener in process.listeners.subtracting(probed).sorted(by: { $0.address < $1.address }).prefix(16) {
      probed.insert(listener)
      if let advice = process.network.advice, !listener.address.hasPrefix("/") {
        notes.append("\(listener.address) is not asked for profiles: \(advice)")
        continue
      }
      guard let address = listener.address(PprofIndex.impossible) else { continue }
      probes.append(ProfileSource(address, options: discover, origin: .discovered))
    }
  }

  private func probed(_ source: ProfileSource, _ isGoPprof: Bool) {
    guard isGoPprof, let index = source.address.sibling("") else { return }
    var kept = Kept(source: ProfileSource(index, options: source.options, origin: .discovered))
    kept.isDue = true
    sources.append(kept)
    notes.append("it serves profiles at \(index)")
  }

  // MARK: Asking

  private func askNext(at time: Duration, _ process: ProfiledProcess) {
    guard !isBusy else { return }
    if let probe = probes.popLast() {
      isBusy = true
      HTTPFetcher.shared.fetch(request(probe, process), limit: 1 << 20) { [mailbox] result in
        let isGo = (try? result.get()).map { $0.status == 404 && $0.isGoPprof } ?? false
        mailbox.put(.probe(probe, isGoPprof: isGo))
      }
      return
    }
    guard let index = sources.firstIndex(where: { $0.isDue && time >= $0.notBefore }) else { return }
    sources[index].isDue = false
    isBusy = true
    ask(sources[index], process)
  }

  private func ask(_ kept: Kept, _ process: ProfiledProcess) {
    let source = kept.source
    let name = source.address.profileName
    let isWitness = kept.isWitness
    let mailbox = mailbox
    let reader = ProfileReader(limits: limits, parser: parser, process: process.key, withNames: withNames)
    if case .file(let path) = source.address.place {
      let known = kept.file
      perform(for: process.owner, source) { () throws(ProfileError) in
        try reader.readNewest(of: path, source.origin.trust, name: name, isWitness: isWitness, known: known)
      }
      return
    }
    let (parser, owner) = (parser, process.owner)
    HTTPFetcher.shared.fetch(request(source, process), limit: limits.compressedBytes) { result in
      if source.address.isIndex {
        mailbox.put(.index(source, result.checked(source).map { PprofIndex.profiles(in: $0.body) }))
        return
      }
      switch result.checked(source) {
      case .failure(let error): mailbox.put(.read(source, .failure(error), cost: .zero))
      case .success(let answer):
        let answered = Instant.now
        Self.perform(parser, mailbox, for: owner, holding: answer.body.count, source) {
          () throws(ProfileError) -> ProfileReading? in
          var reading = try reader.read(
            answer.body, name: name, isWitness: isWitness, source: "\(source.address)", asked: answer.asked,
            answered: answered)
          reading.isConnectionKept = answer.isConnectionKept
          return reading
        }
      }
    }
  }

  private func perform(
    for owner: ProcessOwner, _ source: ProfileSource,
    _ body: @escaping @Sendable () throws(ProfileError) -> ProfileReading?
  ) {
    Self.perform(parser, mailbox, for: owner, holding: 0, source, body)
  }

  /// Reads on a thread of the parser's.
  private static func perform(
    _ parser: Parser, _ mailbox: Mailbox, for owner: ProcessOwner, holding bytes: Int, _ source: ProfileSource,
    _ body: @escaping @Sendable () throws(ProfileError) -> ProfileReading?
  ) {
    do throws(ParserError) {
      try parser.perform(for: owner, holding: bytes) {
        let began = Instant.now
        let result = Result { () throws(ProfileError) in try body() }
        mailbox.put(.read(source, result, cost: .now - began))
      }
    } catch {
      mailbox.put(.read(source, .failure(.notRead(source: "\(source.address)", error)), cost: .zero))
    }
  }

  /// Paths that the process or its owner gave are those that it sees itself.
  private func request(_ source: ProfileSource, _ process: ProfiledProcess) -> HTTPRequest {
    var destination = source.address.destination(of: process.pid)
    if case .unix(let path, _) = destination.place, source.origin != .user {
      destination.place = .unix(path: path, root: process.pid)
    }
    // Root named the others: a service may well be asked at a socket that another process serves.
    if source.origin == .environment || source.origin == .discovered {
      let served = source.address.served(by: listeners)
      destination.claim = Claim(
        pid: process.pid, user: process.user, listeners: served?.listeners ?? [], address: served?.address)
      if case .tcp(_, let port) = destination.place, let address = served?.address {
        destination.place = .tcp(.address(address), port: port)
      }
    }
    return HTTPRequest(
      address: source.address, destination: destination, options: source.options, owner: process.owner.name)
  }

  // MARK: Answers

  private func received(
    _ source: ProfileSource, _ result: Result<ProfileReading?, ProfileError>, at time: Duration
  ) -> [(snapshot: ProfileSnapshot, taken: Instant)] {
    guard let index = sources.firstIndex(where: { $0.source == source }) else { return [] }
    switch result {
    case .failure(let error):
      failed(index, error, at: time)
      return []
    case .success(let reading):
      succeeded(index)
      guard let reading else { return [] }
      sources[index].file = reading.file
      sources[index].isConnectionKept = reading.isConnectionKept
      if let type = reading.countedType, !sources[index].isTypeTold {
        sources[index].isTypeTold = true
        notes.append("of the values in the profile \(reading.snapshot.name) \(type) is what is counted")
      }
      if reading.isCut, !sources[index].isCutTold {
        sources[index].isCutTold = true
        notes.append("the profile \(reading.snapshot.name) has too many addresses to look up: not all have their names")
      }
      return [(reading.snapshot, reading.taken)]
    }
  }

  private func received(
    _ source: ProfileSource, _ result: Result<[(name: String, count: Int)], ProfileError>, _ process: ProfiledProcess,
    at time: Duration
  ) {
    guard let index = sources.firstIndex(where: { $0.source == source }) else { return }
    switch result {
    case .failure(let error): failed(index, error, at: time)
    case .success(let listed):
      succeeded(index)
      let names = PprofIndex.counting(listed, open: process.open)
      if names.isEmpty {
        notes.append(
          listed.isEmpty
            ? "\(source.address) lists no profiles"
            : "none of the profiles at \(source.address) counts descriptors: pprof.NewProfile(\"file\") would")
      }
      for name in names {
        guard let address = source.address.sibling(name), !sources.contains(where: { $0.source.address == address })
        else { continue }
        var kept = Kept(source: ProfileSource(address, options: source.options, origin: source.origin))
        kept.isDue = true
        sources.append(kept)
      }
      // It has told what there is. What waits on descriptors is there in any case.
      sources.removeAll { $0.source == source }
      if names.isEmpty { addWitnesses(beside: source) }
    }
  }

  private func succeeded(_ index: Int) {
    if sources[index].problem != nil { notes.append("\(sources[index].source.address) answers again") }
    (sources[index].failures, sources[index].problem) = (0, nil)
  }

  /// Told once, however often it happens; asked again the more rarely the longer it lasts.
  private func failed(_ index: Int, _ error: ProfileError, at time: Duration) {
    // A witness that nobody promised is looked for once.
    if case .status(_, 404) = error, sources[index].isWitness, sources.count > 1 {
      missing.insert(sources.remove(at: index).source.address)
      return
    }
    // It may have opened its sockets anew.
    if case .foreign = error { areListenersOld = true }
    if case .notRead(_, let reason) = error {
      // Whoever runs the daemon hears of it once, and not for each process.
      if case .unavailable = reason {
        (sources[index].notBefore, sources[index].isDue) = (time + .seconds(60), true)
        return
      }
      // It may have been a name that did it.
      if case .died = reason { withNames = false }
    }
    sources[index].failures += 1
    sources[index].isConnectionKept = false
    sources[index].notBefore = time + min(.seconds(2) * (1 << min(sources[index].failures, 9)), .seconds(600))
    // While it is out of favour another problem is no news, unless it says more.
    if sources[index].problem.map({ !$0.isLike(error) }) ?? true, !sources[index].isWitness {
      let advice = sources[index].source.address.isOfNetwork ? networkAdvice : nil
      notes.append(advice.map { "\(error): \($0)" } ?? "\(error)")
    }
    sources[index].problem = error
    // The baseline is wanted all the same, should it come back.
    if !(sources[index].isWitness) { sources[index].isDue = true }
  }
}

extension ProfileError {
  /// The same problem, whatever figures it has.
  fileprivate func isLike(_ other: ProfileError) -> Bool {
    switch (self, other) {
    case (.slow, .slow), (.unreadable, .unreadable), (.refused, .refused), (.failed, .failed), (.notRead, .notRead):
      true
    case (.foreign, .foreign): true
    default: self == other
    }
  }
}

extension ProfileSource.Origin {
  /// Whose word a path is.
  fileprivate var trust: FileTrust {
    switch self {
    case .user: .ours
    case .unit: .unit
    case .environment, .discovered: .process
    }
  }
}

extension Result where Success == HTTPAnswer, Failure == ProfileError {
  /// Only a 200 carries a profile.
  fileprivate func checked(_ source: ProfileSource) -> Self {
    flatMap { $0.status == 200 ? .success($0) : .failure(.status(source: "\(source.address)", $0.status)) }
  }
}
