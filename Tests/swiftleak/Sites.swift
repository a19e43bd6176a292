// SPDX-License-Identifier: Apache-2.0
// Three places that open files, and one way in which they do.

import Glibc
import LeakProfile

/// A file, in the profile as long as it is open.
final class Handle: Sendable {
  let number: Int32

  /// - Parameter skip: of the frames that called this.
  @inline(never)
  init?(skip: Int) {
    number = unsafe open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
    if number < 0 { return nil }
    files.add(self, descriptor: number, skip: skip)
  }

  func close() {
    files.remove(self)
    Glibc.close(number)
  }
}

let files = Profile("file")

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

func leak(at site: Substring) -> Handle? {
  switch site {
  case "a": leakA()
  case "b": leakB()
  default: leakC()
  }
}
