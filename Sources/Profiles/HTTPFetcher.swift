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

/// Runs requests on a thread of its own and calls back there.
final class HTTPFetcher: Sendable {
  private struct Job: Sendable {
    var address: ProfileAddress
    var options: ProfileOptions
    var limit: Int
    var asked = Instant.now
    var done: @Sendable (Result<HTTPAnswer, ProfileError>) -> Void
  }

  private enum Work: Sendable {
    case request(Job)
    case other(@Sendable () -> Void)
  }

  /// The C side, which one thread alone uses but for waking it.
  @safe
  private struct Handle: @unchecked Sendable { let pointer: OpaquePointer? }

  private let queue = Mutex<[Work]>([])
  private let handle: Handle
  /// Why nothing can be fetched, if so.
  private let problem = Mutex<String?>(nil)

  static let shared = HTTPFetcher()

  private init() {
    var why: UnsafePointer<CChar>?
    unsafe handle = Handle(pointer: fdwatch_http_open(&why))
    guard unsafe handle.pointer != nil else {
      let reason = unsafe why.map { unsafe String(cString: $0) } ?? "libcurl could not be set up"
      problem.withLock { $0 = reason }
      return
    }
    do {
      try BackgroundThread.start { self.run() }
    } catch {
      problem.withLock { $0 = "\(error)" }
    }
  }

  func fetch(
    _ address: ProfileAddress, _ options: ProfileOptions, limit: Int,
    _ done: @escaping @Sendable (Result<HTTPAnswer, ProfileError>) -> Void
  ) {
    if let reason = problem.withLock({ $0 }) { return done(.failure(.noHTTP(reason: reason))) }
    enqueue(.request(Job(address: address, options: options, limit: limit, done: done)))
  }

  /// Runs something else there that may take its time, such as reading a file.
  func perform(_ work: @escaping @Sendable () -> Void) {
    // Without libcurl there is no thread to wait for: files are read at once.
    if problem.withLock({ $0 != nil }) { return work() }
    enqueue(.other(work))
  }

  private func enqueue(_ work: Work) {
    queue.withLock { $0.append(work) }
    unsafe fdwatch_http_wake(handle.pointer)
  }

  // MARK: The thread

  private func run() {
    var running: [UInt64: Job] = [:]
    var tag: UInt64 = 0
    while true {
      let work = queue.withLock { queue in
        defer { queue = [] }
        return queue
      }
      for item in work {
        switch item {
        case .other(let body): body()
        case .request(let job):
          tag += 1
          do throws(ProfileError) {
            var job = job
            job.asked = .now
            try start(job, tag)
            running[tag] = job
          } catch {
            job.done(.failure(error))
          }
        }
      }
      // Nothing to do until somebody wakes us, or for as long as libcurl has something to wait for.
      unsafe fdwatch_http_run(handle.pointer, running.isEmpty ? 60_000 : 1000)
      var response = unsafe fdwatch_response()
      while unsafe fdwatch_http_take(handle.pointer, &response) != 0 {
        guard let job = unsafe running.removeValue(forKey: response.tag) else { continue }
        job.done(unsafe Self.result(response, job))
      }
    }
  }

  private func start(_ job: Job, _ tag: UInt64) throws(ProfileError) {
    var headers = ["Accept-Encoding: identity"] + job.options.headers
    if let file = job.options.tokenFile { headers.append("Authorization: Bearer \(try Self.token(file))") }
    let (url, socket): (String, String?) =
      switch job.address.place {
      case .tcp(let url): (url, nil)
      // The host is a formality.
      case .unix(let path, let target): ("http://localhost" + target, path)
      case .file(let glob): ("file:" + glob, nil)
      }
    let began = unsafe withCStrings(headers) { pointers in
      unsafe url.withCString { url in
        unsafe withOptionalCString(socket) { socket in
          unsafe withOptionalCString(job.options.caFile) { ca in
            var request = unsafe fdwatch_request()
            unsafe request.url = url
            unsafe request.unix_socket = socket
            unsafe request.headers = pointers
            unsafe request.ca_file = ca
            unsafe request.body_limit = job.limit
            unsafe request.connect_ms = job.options.connect.milliseconds
            unsafe request.answer_ms = job.options.answer.milliseconds
            unsafe request.whole_ms = job.options.whole.milliseconds
            return unsafe fdwatch_http_start(handle.pointer, &request, tag)
          }
        }
      }
    }
    if began == 0 { throw .failed(source: "\(job.address)", reason: "libcurl did not take the request") }
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
    let source = "\(job.address)"
    let message = unsafe response.message.map { unsafe String(cString: $0) } ?? ""
    let size = unsafe response.size
    switch unsafe Int(response.outcome) {
    case fdwatch_outcome_answered: break
    case fdwatch_outcome_refused: return .failure(.refused(source: source, reason: message))
    case fdwatch_outcome_silent: return .failure(.silent(source: source))
    case fdwatch_outcome_slow: return .failure(.slow(source: source, bytes: size))
    case fdwatch_outcome_too_large: return .failure(.tooLarge(source: source, most: job.limit))
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
        isConnectionKept: response.is_connection_kept != 0, asked: job.asked))
  }
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
