// SPDX-License-Identifier: Apache-2.0
// Three places that open files, and one way in which they do.

import Glibc
import LeakProfile
import Synchronization

/// A file, in the profile as long as it is open.
final class Handle: Sendable {
  let number: Int32

  /// - Parameter skip: of the frames that called this.
  @inline(never)
  init?(skip: Int) {
    number = unsafe open(nextPath(), O_RDONLY | O_CREAT | O_CLOEXEC, 0o600)
    if number < 0 { return nil }
    files.add(self, descriptor: number, skip: skip)
  }

  func close() {
    files.remove(self)
    Glibc.close(number)
  }
}

let files = Profile("file")

/// A file of its own for each, as a server has: or nobody could tell a number from its next use.
private func nextPath() -> String {
  if CommandLine.arguments.count < 5 { return CommandLine.arguments[0] }
  opened.withLock { $0 += 1 }
  return CommandLine.arguments[4] + "/\(opened.withLock { $0 })"
}

private let opened = Mutex(0)

@inline(never) func leakA() -> Handle? { opened(by: "a") }

@inline(never) func leakB() -> Handle? { opened(by: "b") }

@inline(never) func leakC() -> Handle? { opened(by: "c") }

/// A wrapper, as programs have: who calls it is to blame.
@inline(never) func opened(by site: String) -> Handle? {
  let handle = Handle(skip: wrappers)
  // Not by a jump, or this frame would be gone.
  withExtendedLifetime(site) {}
  return handle
}

#if DEBUG
  // Of the class that is initialized, and of the function that allocates it; and this one.
  let wrappers = 3
#else
  let wrappers = 2
#endif

/// What is held by other means.
nonisolated(unsafe) var guards: [LeakGuard] = []

@inline(never) func guardedSite() { unsafe guards.append(LeakGuard(files, "/guarded", descriptor: 1001)) }

struct Number: ~Copyable {}

final class Holder {
  let tracked: Tracked<Number>
  init(_ tracked: consuming Tracked<Number>) { self.tracked = tracked }
}

nonisolated(unsafe) var holders: [Holder] = []

@inline(never) func trackedSite() {
  unsafe holders.append(Holder(Tracked(Number(), in: files, "/tracked", descriptor: 1002)))
}

@inline(never) func tokenSite() { files.add(Profile.Token(), descriptor: 1003) }

@inline(never) func numberSite() { files.add(descriptor: 1004) }

func leak(at site: Substring) -> Handle? {
  switch site {
  case "a": leakA()
  case "b": leakB()
  default: leakC()
  }
}
