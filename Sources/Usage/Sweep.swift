// SPDX-License-Identifier: Apache-2.0
// Whether anybody else has an object: all processes are asked, a part of them at each look.

import Linux
import Procfs

/// A pass over the tables of all processes, for objects whose holders are not known.
///
/// A host may have a million descriptors, 5 s of reading: a pass goes on at the next look where the last one ended, and says
/// something only when it is through. A holder in another namespace of processes is not seen: who passes descriptors to the
/// outside of a container seems to pass them to nobody.
struct Sweep: Sendable {
  /// Links at one look: some 50 ms.
  private static let roomOfLook = 10_000
  /// To list a larger table takes as long, at each look that goes on with it: then it is not known who holds what.
  private static let mostOfOne = 100_000

  /// Objects that nobody else had at the last pass.
  private(set) var unheld: Set<HeldObject> = []
  private var wanted: Set<HeldObject> = []
  private var found: Set<HeldObject> = []
  /// Those up to this number have been asked.
  private var last: Int32 = -1
  /// One that has been read in part, and how far.
  private var stopped: (pid: Int32, at: Int32)?
  private var isUnderWay = false
  private var isComplete = true

  /// - Parameter passingOver: of one that is closed to us, whether it is as good as read. What is older than the process has
  ///   inherited nothing from it: it can only have been given a descriptor.
  mutating func go(
    for objects: Set<HeldObject>, through pids: [Int32], passingOver: (Int32) -> Bool, in procfs: borrowing Procfs
  ) {
    unheld.formIntersection(objects)
    if !isUnderWay {
      guard !objects.isEmpty else { return }
      (wanted, found, isUnderWay, isComplete) = (objects, [], true, true)
      (last, stopped) = (-1, nil)
    }
    var room = Self.roomOfLook
    for pid in pids.sorted() where pid > last {
      switch ask(pid, &room, in: procfs) {
      case .seen: break
      case .closed: if !passingOver(pid) { isComplete = false }
      case .stopped(let number):
        stopped = (pid, number)
        return
      }
      (last, stopped) = (pid, nil)
    }
    isUnderWay = false
    unheld = isComplete ? wanted.subtracting(found) : []
  }

  private enum Answer {
    case seen, closed
    case stopped(at: Int32)
  }

  private mutating func ask(_ pid: Int32, _ room: inout Int, in procfs: borrowing Procfs) -> Answer {
    do throws(ProcfsError) {
      let other = try ProcessDirectory(pid: pid, in: procfs)
      if other.isKernelThread { return .seen }
      guard
        let answer = try other.heldObjects(
          most: Self.mostOfOne, room: &room, after: stopped?.pid == pid ? stopped?.at ?? -1 : -1, where: wanted.contains
        )
      else { return .closed }
      found.formUnion(answer.held.map(\.object))
      return answer.stoppedAt.map { .stopped(at: $0) } ?? .seen
    } catch .gone {
      return .seen
    } catch {
      return .closed
    }
  }
}
