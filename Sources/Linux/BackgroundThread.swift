// SPDX-License-Identifier: Apache-2.0
// A thread of our own, for what may take its time: Swift's pool of threads is for what does not.

import CLinux
import Glibc

package enum BackgroundThread {
  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Runs `body` on a new thread, which gets no signals: those are for whoever waits for them.
  package static func start(_ body: @escaping @Sendable () -> Void) throws(SystemCallError) {
    let box = unsafe Unmanaged.passRetained(Body(body))
    var all = sigset_t()
    var before = sigset_t()
    unsafe sigfillset(&all)
    // A new thread has its creator's mask.
    unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
    var thread = pthread_t()
    let error = unsafe pthread_create(
      &thread, nil,
      { context in
        guard let context = unsafe context else { return nil }
        unsafe Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
        return nil
      }, box.toOpaque())
    if error != 0 {
      unsafe box.release()
      throw SystemCallError("pthread_create", errno: error)
    }
    pthread_detach(thread)
  }
}
