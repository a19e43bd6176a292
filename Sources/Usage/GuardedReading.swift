// SPDX-License-Identifier: Apache-2.0
// Reading what a process can hold up, without being held up.

import Linux
import Procfs
import Synchronization

/// Reads `fdinfo` of epoll instances on a thread of its own.
///
/// The kernel prints it under the instance's lock (`ep_show_fdinfo` of fs/eventpoll.c), and holds that lock while it copies
/// events to the process's memory. Where that memory is a file of a FUSE server that does not answer, the lock is held for
/// good: who waits for it cannot even be killed. Such a thread is left behind, and few may be.
final class GuardedReading: Sendable {
  private static let patience = Duration.milliseconds(500)
  private static let mostHanging = 4
  private static let hanging = Mutex(0)

  /// What was opened, as a list that may hold what cannot be copied.
  private final class Link: Sendable {
    let number: Int32
    let file: Descriptor
    let next: Link?

    init(_ number: Int32, _ file: consuming Descriptor, _ next: Link?) {
      (self.number, self.next) = (number, next)
      self.file = file
    }
  }

  private struct State {
    var details: [Int32: DescriptorDetails] = [:]
    var isDone = false
    var isLeftBehind = false
  }

  private let state = Mutex(State())
  private let bell: Bell

  private init() throws(SystemCallError) { bell = try Bell() }

  /// What could be read; `nil` where the process held it up, and should not be asked again soon.
  static func details(
    of numbers: [Int32], _ process: borrowing ProcessDirectory, most: Int
  ) -> [Int32: DescriptorDetails]? {
    guard !numbers.isEmpty, hanging.withLock({ $0 }) < mostHanging, let reading = try? GuardedReading() else {
      return [:]
    }
    var files: Link?
    for number in numbers.reversed() {
      if let file = process.informationFile(of: number) { files = Link(number, file, files) }
    }
    let first = files
    guard (try? BackgroundThread.start { reading.read(first, most: most) }) != nil else { return [:] }
    let deadline = Instant.now + patience
    while Instant.now < deadline, !reading.state.withLock({ $0.isDone }) { reading.bell.wait(until: deadline) }
    return reading.state.withLock { state in
      if !state.isDone {
        state.isLeftBehind = true
        hanging.withLock { $0 += 1 }
        return nil
      }
      return state.details
    }
  }

  private func read(_ files: Link?, most: Int) {
    var next = files
    while let file = next {
      if let text = try? file.file.contents(limit: most) {
        let details = DescriptorDetails(fdinfo: text)
        state.withLock { $0.details[file.number] = details }
      }
      next = file.next
    }
    state.withLock { state in
      state.isDone = true
      if state.isLeftBehind { Self.hanging.withLock { $0 -= 1 } }
    }
    bell.ring()
  }
}
