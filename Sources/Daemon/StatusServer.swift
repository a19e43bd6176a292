// SPDX-License-Identifier: Apache-2.0
// Where the daemon is asked: sockets and connections, served by the loop that also polls.

import Linux

/// Listening sockets and the connections that came in on them.
package final class StatusServer {
  private var listeners: [Listener] = []
  private var connections: [HTTPConnection] = []
  /// More wait in the kernel.
  private static let mostConnections = 32

  /// A descriptor that is shared by value: it is closed when the last copy goes.
  private final class Listener {
    let descriptor: Descriptor
    let isLocal: Bool
    let isConfigured: Bool
    init(_ descriptor: consuming Descriptor, isConfigured: Bool) {
      isLocal = descriptor.isUnixSocket
      self.descriptor = descriptor
      self.isConfigured = isConfigured
    }
  }

  package init() {}

  /// - Parameter isConfigured: it is there for what the configuration says, and goes when that says something else.
  package func listen(_ descriptor: consuming Descriptor, isConfigured: Bool = false) {
    listeners.append(Listener(descriptor, isConfigured: isConfigured))
  }

  /// Stops listening where another configuration has said to.
  package func closeConfigured() { listeners.removeAll(where: \.isConfigured) }

  package var wanted: [Readiness.Wanted] {
    let isOpen = connections.count < Self.mostConnections && Instant.now >= restsUntil
    return (isOpen ? listeners.map { Readiness.Wanted($0.descriptor.number) } : []) + connections.map(\.wanted)
  }

  /// Where no descriptor is left for a connection, it goes on waiting, and to look again at once would only burn time.
  private var restsUntil = Instant.now
  private static let rest = Duration.seconds(1)

  /// Does what can be done without waiting.
  package func serve(_ ready: Set<CInt>, _ respond: (HTTPRequest, _ isLocal: Bool) -> HTTPAnswer) {
    for listener in listeners where ready.contains(listener.descriptor.number) {
      do throws(SystemCallError) {
        while connections.count < Self.mostConnections, let connection = try listener.descriptor.accept() {
          connections.append(HTTPConnection(connection))
        }
      } catch {
        restsUntil = .now + Self.rest
      }
    }
    let now = Instant.now
    connections.removeAll { $0.proceed(respond) || $0.isOverdue(at: now) }
  }
}
