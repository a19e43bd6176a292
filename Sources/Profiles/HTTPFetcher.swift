// SPDX-License-Identifier: Apache-2.0
// Asking by HTTP, on one thread for all processes, through libcurl.

import CCurl
import Linux
import Synchronization

/// What goes with every request to a source.
package struct ProfileOptions: Sendable, Hashable {
  /// `Name: value`.
  package var headers: [String] = []
  /// A file whose first line is a bearer token. It is read for every request, as tokens are renewed.
  package var tokenFile: String?
  /// Certificates to trust instead of the system's.
  package var caFile: String?
  package var connect = Duration.seconds(2)
  /// Until the first byte.
  package var answer = Duration.seconds(5)
  package var whole = Duration.seconds(15)

  package init() {}
}

/// What was answered.
struct HTTPAnswer: Sendable {
  var status: Int
  var body: [UInt8]
  /// Go's pprof handler refused: the surest sign that it is one.
  var isGoPprof: Bool
  var isConnectionKept: Bool
  /// When it was asked for.
  var asked: Instant
}

/// One request, with all that was decided of it.
struct HTTPRequest: Sendable {
  /// As it was named: for the Host header, the target, and messages.
  var address: ProfileAddress
  var destination: Destination
  var options: ProfileOptions
  /// Who shares the requests that are under way at once: see ``FetchQueue``.
  var owner: String

  fileprivate var isEncrypted: Bool { address.isEncrypted }
}

/// Runs requests on a thread of its own and calls back there.
final class HTTPFetcher: Sendable {
  private struct Job: Sendable {
    var request: HTTPRequest
    var limit: Int
    var began = Instant.now
    /// A connection was opened for it. It gets one only.
    var wasConnected = false
    var done: @Sendable (Result<HTTPAnswer, ProfileError>) -> Void

    var source: String { "\(request.address)" }
    var deadline: Instant { began + request.options.whole }
  }

  private enum Work: Sendable {
    case request(Job)
    case connected(UInt64, Result<CInt, ProfileError>)
  }

  /// The C side, which one thread alone uses but for waking it.
  @safe
  private struct Handle: @unchecked Sendable { let pointer: OpaquePointer? }

  private let queue = Mutex<[Work]>([])
  private let handle: Handle
  /// Why nothing can be fetched, if so.
  private let problem = Mutex<String?>(nil)

  static let shared = HTTPFetcher()

  /// Of all bodies that are under way together: a quarter of the daemon's `MemoryMax=`, and as large as one may be.
  static let bodyBudget = 16 << 20

  private init() {
    var why: UnsafePointer<CChar>?
    unsafe handle = Handle(pointer: fdwatch_http_open(Self.bodyBudget, &why))
    guard unsafe handle.pointer != nil else {
      let reason = unsafe why.map { unsafe String(cString: $0) } ?? "libcurl could not be set up"
      problem.withLock { $0 = reason }
      return
    }
    do {
      try BackgroundThread.start {
        var loop = Loop(fetcher: self)
        while true { loop.turn() }
      }
    } catch {
      problem.withLock { $0 = "\(error)" }
    }
  }

  func fetch(_ request: HTTPRequest, limit: Int, _ done: @escaping @Sendable (Result<HTTPAnswer, ProfileError>) -> Void)
  {
    if let reason = problem.withLock({ $0 }) { return done(.failure(.noHTTP(reason: reason))) }
    enqueue(.request(Job(request: request, limit: limit, done: done)))
  }

  private func enqueue(_ work: Work) {
    queue.withLock { $0.append(work) }
    unsafe fdwatch_http_wake(handle.pointer)
  }

  private func takeWork() -> [Work] {
    queue.withLock { queue in
      defer { queue = [] }
      return queue
    }
  }
}

// MARK: The thread

extension HTTPFetcher {
  /// What the thread knows. A request goes from waiting to libcurl, which may have a connection of it; if not, to a thread
  /// that connects, and back to libcurl.
  private struct Loop {
    let fetcher: HTTPFetcher
    private var waiting = FetchQueue<Job>()
    private var connecting: [UInt64: Job] = [:]
    private var running: [UInt64: Job] = [:]
    /// Owners of connections whose deadline is over, and that are still being opened: by a thread that cannot be ended.
    private var overdue: [UInt64: String] = [:]
    private var lastTag: UInt64 = 0

    init(fetcher: HTTPFetcher) { self.fetcher = fetcher }

    mutating func turn() {
      for work in fetcher.takeWork() {
        switch work {
        case .request(let job): waiting.add(job, of: job.request.owner)
        case .connected(let tag, let result): connected(tag, result)
        }
      }
      giveUpConnecting()
      while var job = waiting.next() {
        job.began = .now
        start(job, socket: CInt(fdwatch_kept_socket))
      }
      // Nothing to do until somebody wakes us, or for as long as libcurl has something to wait for.
      unsafe fdwatch_http_run(fetcher.handle.pointer, running.isEmpty && connecting.isEmpty ? 60_000 : 1000)
      var response = unsafe fdwatch_response()
      while unsafe fdwatch_http_take(fetcher.handle.pointer, &response) != 0 {
        guard let job = unsafe running.removeValue(forKey: response.tag) else { continue }
        if unsafe Int(response.outcome) == fdwatch_outcome_unconnected, !job.wasConnected {
          connect(job)
        } else {
          finish(job, unsafe HTTPFetcher.result(response, job))
        }
      }
    }

    private mutating func finish(_ job: Job, _ result: Result<HTTPAnswer, ProfileError>) {
      waiting.finished(job.request.owner)
      job.done(result)
    }

    private mutating func start(_ job: Job, socket: CInt) {
      lastTag += 1
      do throws(ProfileError) {
        try fetcher.start(job, socket, lastTag)
        running[lastTag] = job
      } catch {
        finish(job, .failure(error))
      }
    }

    /// On a thread of its own, as it may wait for what somebody else does.
    private mutating func connect(_ job: Job) {
      lastTag += 1
      let tag = lastTag
      let fetcher = fetcher
      do {
        try BackgroundThread.start {
          let result = Result { () throws(ProfileError) -> CInt in
            try Connector.connect(
              to: job.request.destination, source: job.source, timeout: job.request.options.connect
            ).release()
          }
          fetcher.enqueue(.connected(tag, result))
        }
        connecting[tag] = job
      } catch {
        finish(job, .failure(.failed(source: job.source, reason: "\(error)")))
      }
    }

    private mutating func connected(_ tag: UInt64, _ result: Result<CInt, ProfileError>) {
      guard var job = connecting.removeValue(forKey: tag) else {
        // It was given up meanwhile.
        if let owner = overdue.removeValue(forKey: tag) { waiting.finished(owner) }
        if case .success(let socket) = result { _ = Descriptor(owning: socket) }
        return
      }
      switch result {
      case .failure(let error): finish(job, .failure(error))
      case .success(let socket):
        job.wasConnected = true
        start(job, socket: socket)
      }
    }

    /// The keeper hears of it in time. The place is taken until the thread returns: or an owner with a file system that does
    /// not answer could have any number of them.
    private mutating func giveUpConnecting() {
      let now = Instant.now
      for (tag, job) in connecting where now > job.deadline {
        connecting[tag] = nil
        overdue[tag] = job.request.owner
        job.done(.failure(.refused(source: job.source, reason: "no connection within \(job.request.options.whole)")))
      }
    }
  }

  private func start(_ job: Job, _ socket: CInt, _ tag: UInt64) throws(ProfileError) {
    let options = job.request.options
    var headers = ["Accept-Encoding: identity"] + options.headers
    do throws(ProfileError) {
      if let file = options.tokenFile { headers.append("Authorization: Bearer \(try Self.token(file))") }
    } catch {
      // Closes it, as it is not handed on.
      if socket >= 0 { _ = Descriptor(owning: socket) }
      throw error
    }
    let (url, target) = Self.names(job.request.address)
    let left = max(.milliseconds(1), job.deadline - .now)
    let began = unsafe withCStrings(headers) { pointers in
      unsafe withCStrings([url, target, job.request.destination.key]) { texts in
        unsafe withOptionalCString(options.caFile) { ca in
          var request = unsafe fdwatch_request()
          unsafe (request.url, request.target, request.key) = unsafe (texts?[0], texts?[1], texts?[2])
          unsafe request.socket = job.request.isEncrypted ? CInt(fdwatch_no_socket) : socket
          unsafe request.headers = pointers
          unsafe request.ca_file = ca
          unsafe request.body_limit = job.limit
          unsafe request.connect_ms = options.connect.milliseconds
          unsafe request.answer_ms = options.answer.milliseconds
          unsafe request.whole_ms = left.milliseconds
          return unsafe fdwatch_http_start(handle.pointer, &request, tag)
        }
      }
    }
    if began == 0 { throw .failed(source: job.source, reason: "libcurl did not take the request") }
  }

  /// The URL for libcurl, composed of what we took apart, and the target.
  private static func names(_ address: ProfileAddress) -> (url: String, target: String) {
    switch address.place {
    case .tcp(let endpoint, let target): ("\(endpoint)/", target)
    // The host is a formality.
    case .unix(_, let target): ("http://localhost/", target)
    case .file(let glob): ("file:///", glob)
    }
  }

  private static func token(_ file: String) throws(ProfileError) -> String {
    do throws(SystemCallError) {
      let text = String(decoding: try Descriptor(regularFile: file).contents(limit: 64 << 10), as: UTF8.self)
      return text.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
    } catch {
      throw .cannotOpen(file: file, reason: "the token cannot be read: \(error.reason)")
    }
  }

  private static func result(_ response: fdwatch_response, _ job: Job) -> Result<HTTPAnswer, ProfileError> {
    let source = job.source
    let message = unsafe response.message.map { unsafe String(cString: $0) } ?? ""
    let size = unsafe response.size
    switch unsafe Int(response.outcome) {
    case fdwatch_outcome_answered: break
    case fdwatch_outcome_refused: return .failure(.refused(source: source, reason: message))
    // The server ended what was kept or just opened, and would have it opened again.
    case fdwatch_outcome_unconnected: return .failure(.cutOff(source: source))
    case fdwatch_outcome_silent: return .failure(.silent(source: source))
    case fdwatch_outcome_slow: return .failure(.slow(source: source, bytes: size))
    case fdwatch_outcome_too_large: return .failure(.tooLarge(source: source, most: job.limit))
    case fdwatch_outcome_given_up: return .failure(.givenUp(source: source, budget: max(bodyBudget, job.limit)))
    case fdwatch_outcome_long_head:
      return .failure(.failed(source: source, reason: "the headers of its answer have more than 64 KiB"))
    case fdwatch_outcome_cut_off: return .failure(.cutOff(source: source))
    default: return .failure(.failed(source: source, reason: message))
    }
    let status = unsafe Int(response.status)
    if (300..<400).contains(status) {
      let location = unsafe response.location.map { unsafe String(cString: $0) } ?? ""
      return .failure(.redirected(source: source, location: location))
    }
    let body = unsafe Array(UnsafeBufferPointer(start: response.body, count: size))
    return unsafe .success(
      HTTPAnswer(
        status: status, body: body, isGoPprof: response.is_go_pprof != 0,
        isConnectionKept: response.is_connection_kept != 0, asked: job.began))
  }
}

extension Destination {
  /// Names it for libcurl, which keeps connections by this. The seed of the hash is secret, so that nobody can make two
  /// destinations look the same.
  fileprivate var key: String { "fdwatch/\(pid)/\(UInt(bitPattern: hashValue))" }
}

extension Duration {
  fileprivate var milliseconds: Int { Int(self / .milliseconds(1)) }
}

private func withOptionalCString<Result>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> Result) -> Result {
  guard let text else { return body(nil) }
  return unsafe text.withCString { unsafe body($0) }
}

/// The strings as an array that NULL ends.
private func withCStrings<Result>(
  _ texts: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> Result
) -> Result {
  var bytes: [CChar] = []
  var starts: [Int] = []
  for text in texts {
    starts.append(bytes.count)
    bytes += text.utf8CString
  }
  return unsafe bytes.withUnsafeBufferPointer { buffer in
    var pointers: [UnsafePointer<CChar>?] = unsafe starts.map { unsafe buffer.baseAddress?.advanced(by: $0) }
    unsafe pointers.append(nil)
    return unsafe pointers.withUnsafeBufferPointer { unsafe body($0.baseAddress) }
  }
}
