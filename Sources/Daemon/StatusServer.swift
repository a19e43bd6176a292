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
    init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }
  }

  package init() {}

  package func listen(_ descriptor: consuming Descriptor) { listeners.append(Listener(descriptor)) }

  package var isListening: Bool { !listeners.isEmpty }

  /// Stops taking connections, as before other sockets are listened on.
  package func close() { listeners = [] }

  package var wanted: [Readiness.Wanted] {
    let open = connections.count < Self.mostConnections ? listeners.map { Readiness.Wanted($0.descriptor.number) } : []
    return open + connections.map(\.wanted)
  }

  /// Does what can be done without waiting.
  package func serve(_ ready: Set<CInt>, _ respond: (HTTPRequest, _ isLocal: Bool) -> HTTPAnswer) {
    for listener in listeners where ready.contains(listener.descriptor.number) {
      while connections.count < Self.mostConnections, let connection = (try? listener.descriptor.accept()) ?? nil {
        connections.append(HTTPConnection(connection))
      }
    }
    let now = Instant.now
    connections.removeAll { $0.proceed(respond) || $0.isOverdue(at: now) }
  }
}
