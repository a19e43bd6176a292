// SPDX-License-Identifier: Apache-2.0
// Messages with descriptors, between two processes of ours. See unix(7), SOCK_SEQPACKET and SCM_RIGHTS.

import CLinux
import Glibc

/// One end of a connection that carries whole messages. No call waits longer than its deadline.
package struct PacketSocket: ~Copyable, Sendable {
  private let descriptor: Descriptor

  /// Of one message.
  package static let longest = 32 << 10

  package enum Failure: Error, Equatable {
    /// The other end has gone.
    case ended
    case timedOut
    case failed(SystemCallError)
  }

  package init(owning descriptor: consuming Descriptor) { self.descriptor = descriptor }

  /// - Throws: `EACCES` where the socket is not root's, `EAGAIN` where too many wait for it already.
  package init(connectedTo path: String) throws(SystemCallError) {
    descriptor = Descriptor(owning: try retrying("connect") { unsafe fdwatch_connect_packets(path) })
  }

  /// Two ends of one connection.
  package struct Pair: ~Copyable {
    package let ours: Descriptor
    package let theirs: Descriptor

    package init() throws(SystemCallError) {
      var numbers: [CInt] = [-1, -1]
      _ = try retrying("socketpair") { unsafe fdwatch_packet_pair(&numbers) }
      ours = Descriptor(owning: numbers[0])
      theirs = Descriptor(owning: numbers[1])
    }

    package consuming func intoOurs() -> Descriptor { ours }
  }

  /// Whether the other end has gone, without waiting.
  package var hasEnded: Bool {
    var wait = pollfd(fd: descriptor.number, events: 0, revents: 0)
    return unsafe poll(&wait, 1, 0) > 0
  }

  /// Sends one message. The descriptors stay ours.
  package func send(_ bytes: ArraySlice<UInt8>, descriptors: [CInt] = [], until deadline: Instant) throws(Failure) {
    let number = descriptor.number
    while true {
      let sent = unsafe bytes.withUnsafeBytes {
        unsafe fdwatch_send_packet(number, $0.baseAddress, $0.count, descriptors, CInt(descriptors.count))
      }
      if sent >= 0 { return }
      switch errno {
      case EINTR: continue
      case EAGAIN: try wait(for: POLLOUT, until: deadline)
      case EPIPE, ECONNRESET: throw .ended
      default: throw .failed(.last("sendmsg"))
      }
    }
  }

  /// The next message.
  /// - Parameter descriptors: takes those that came with it. Without it none is taken.
  package func receive(
    _ descriptors: ((consuming Descriptor) -> Void)? = nil, until deadline: Instant
  ) throws(Failure) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.longest)
    while true {
      var numbers = [CInt](repeating: -1, count: Int(FDWATCH_PACKET_DESCRIPTORS))
      var count: CInt = 0
      let got =
        descriptors == nil
        ? unsafe fdwatch_receive_packet(descriptor.number, &bytes, bytes.count, nil, &count)
        : unsafe fdwatch_receive_packet(descriptor.number, &bytes, bytes.count, &numbers, &count)
      if got > 0 {
        for number in numbers.prefix(Int(count)) { descriptors?(Descriptor(owning: number)) }
        return Array(bytes.prefix(got))
      }
      if got == 0 { throw .ended }
      switch errno {
      case EINTR: continue
      case EAGAIN: try wait(for: POLLIN, until: deadline)
      case ECONNRESET: throw .ended
      default: throw .failed(.last("recvmsg"))
      }
    }
  }

  private func wait(for event: CInt, until deadline: Instant) throws(Failure) {
    let left = (deadline - .now).nanoseconds
    if left <= 0 { throw .timedOut }
    var wait = pollfd(fd: descriptor.number, events: Int16(event), revents: 0)
    let ready = unsafe poll(&wait, 1, CInt(clamping: (left + 999_999) / 1_000_000))
    if ready < 0, errno != EINTR { throw .failed(.last("poll")) }
  }

  /// While `isOn`, this process ends (SIGIO) when the other end hangs up: nobody waits for what it does any more.
  package func endsWithOtherEnd(_ isOn: Bool) { _ = fdwatch_end_on_hangup(descriptor.number, isOn ? 1 : 0) }
}
