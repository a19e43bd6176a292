// SPDX-License-Identifier: Apache-2.0
// Reports as an asynchronous sequence.

import Synchronization

extension Leaks {
  /// Reports as they come in, the oldest of more than 64 waiting being lost.
  public struct Reports: AsyncSequence, Sendable {
    /// A report.
    public typealias Element = LeakReport
    /// It never fails.
    public typealias Failure = Never

    private let stream: AsyncStream<LeakReport>
    private let lost: Lost

    /// Takes reports one by one.
    public struct AsyncIterator: AsyncIteratorProtocol {
      fileprivate var base: AsyncStream<LeakReport>.Iterator
      fileprivate let lost: Lost

      /// The next report; `nil` once the task is cancelled.
      public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async -> LeakReport? {
        guard var report = await base.next(isolation: actor) else { return nil }
        report.lost += lost.count.exchange(0, ordering: .relaxed)
        return report
      }

      /// The next report; `nil` once the task is cancelled.
      public mutating func next() async -> LeakReport? { await next(isolation: nil) }
    }

    /// To be called once: of several iterators each gets a part.
    public func makeAsyncIterator() -> AsyncIterator {
      AsyncIterator(base: stream.makeAsyncIterator(), lost: lost)
    }

    /// What a slow consumer has not seen.
    final class Lost: Sendable {
      let count = Atomic(0)
    }

    /// Where reports are put.
    struct Sink: Sendable {
      let id: Int
      private let continuation: AsyncStream<LeakReport>.Continuation
      private let lost: Lost
      private static let nextID = Atomic(0)

      init(_ continuation: AsyncStream<LeakReport>.Continuation, _ lost: Lost) {
        id = Self.nextID.wrappingAdd(1, ordering: .relaxed).newValue
        (self.continuation, self.lost) = (continuation, lost)
      }

      func put(_ report: LeakReport) {
        if case .dropped(let old) = continuation.yield(report) {
          lost.count.wrappingAdd(1 + old.lost, ordering: .relaxed)
        }
      }
    }

    /// - Parameter end: called with the sink's number when nobody listens any more.
    static func make(_ end: @escaping @Sendable (Int) -> Void) -> (Reports, Sink) {
      let (stream, continuation) = AsyncStream.makeStream(of: LeakReport.self, bufferingPolicy: .bufferingNewest(64))
      let lost = Lost()
      let sink = Sink(continuation, lost)
      continuation.onTermination = { [id = sink.id] _ in end(id) }
      return (Reports(stream: stream, lost: lost), sink)
    }
  }
}
