// SPDX-License-Identifier: Apache-2.0
// A connection to the system's service manager. See sd_bus_call(3), org.freedesktop.systemd1(5).

import CSystemd
import Glibc
import Linux

/// Where the service manager is asked.
package enum BusAddress: Sendable, Equatable {
  /// The manager's own socket: root needs no dbus-daemon there.
  case manager(path: String)
  /// Through dbus-daemon or dbus-broker.
  case systemBus

  package static let usual: [BusAddress] = [.manager(path: "/run/systemd/private"), .systemBus]
}

/// The service manager, asked by one thread; each call takes no longer than ``limit`` and then throws.
///
/// It connects when it is first needed, and anew after a failure.
@safe package final class Bus {
  private let addresses: [BusAddress]
  private let limit: Duration
  private var connection: OpaquePointer?
  /// On the manager's own socket there is nobody to be named.
  private var destination: String?

  static let manager = (path: "/org/freedesktop/systemd1", interface: "org.freedesktop.systemd1.Manager")

  package init(_ addresses: [BusAddress] = BusAddress.usual, limit: Duration = .seconds(2)) {
    (self.addresses, self.limit) = (addresses, limit)
  }

  deinit { disconnect() }

  private func disconnect() {
    // Not flushed: that would wait for a manager that hangs.
    if let open = unsafe connection { unsafe sd_bus_close_unref(open) }
    unsafe connection = nil
  }

  /// What a unit's object is called on the bus.
  static func path(of unit: String) -> String? {
    var path: UnsafeMutablePointer<CChar>?
    guard unsafe sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path) >= 0, let found = unsafe path else {
      return nil
    }
    defer { unsafe free(found) }
    return unsafe String(cString: found)
  }
}

extension Bus {
  /// An open connection.
  private func connected() throws(BusError) -> OpaquePointer {
    if let open = unsafe connection {
      // A manager that was executed anew has closed its end: that shows here, and not when it is too late.
      while unsafe sd_bus_process(open, nil) > 0 {}
      if unsafe sd_bus_is_ready(open) > 0 { return unsafe open }
      disconnect()
    }
    var reasons: [String] = []
    for address in addresses {
      let (opened, error) = unsafe open(address)
      if let opened = unsafe opened {
        unsafe connection = unsafe opened
        if case .systemBus = address { destination = "org.freedesktop.systemd1" } else { destination = nil }
        return unsafe opened
      }
      if error == ETIMEDOUT { throw .timedOut(call: "connect", unit: address.inWords) }
      reasons.append("\(address.inWords): \(BusError.words(error))")
    }
    throw .unreachable(reason: reasons.joined(separator: ", "))
  }

  private func open(_ address: BusAddress) -> (OpaquePointer?, errno: CInt) {
    var made: OpaquePointer?
    let started: CInt
    switch address {
    case .systemBus: started = unsafe sd_bus_open_system(&made)
    case .manager(let path):
      let created = unsafe sd_bus_new(&made)
      guard created >= 0 else { return (nil, -created) }
      let set = unsafe sd_bus_set_address(made, "unix:path=" + path.escapedForAddress)
      started = set < 0 ? set : unsafe sd_bus_start(made)
    }
    guard started >= 0, let opened = unsafe made else {
      unsafe sd_bus_close_unref(made)
      return (nil, -started)
    }
    unsafe sd_bus_set_method_call_timeout(opened, limit.microseconds)
    let error = unsafe waitUntilReady(opened)
    if error != 0 {
      unsafe sd_bus_close_unref(opened)
      return (nil, error)
    }
    return unsafe (opened, 0)
  }

  /// libsystemd itself would wait 25 s for a manager that accepts and then says nothing.
  private func waitUntilReady(_ bus: OpaquePointer) -> CInt {
    let deadline = Instant.now + limit
    while true {
      let done = unsafe sd_bus_process(bus, nil)
      if done < 0 { return -done }
      if unsafe sd_bus_is_ready(bus) > 0 { return 0 }
      if done > 0 { continue }
      let left = deadline - .now
      if left <= .zero { return ETIMEDOUT }
      let waited = unsafe sd_bus_wait(bus, left.microseconds)
      if waited < 0, waited != -EINTR { return -waited }
    }
  }

  /// Calls a method and reads its reply.
  /// - Parameters:
  ///   - unit: what it is about, for errors.
  func call<Result>(
    _ member: String, about unit: String, _ write: (inout BusWriter) -> Void, reply read: (BusReader) -> Result
  ) throws(BusError) -> Result {
    let bus = try unsafe connected()
    var message: OpaquePointer?
    var status = unsafe sd_bus_message_new_method_call(
      bus, &message, destination, Self.manager.path, Self.manager.interface, member)
    defer { unsafe sd_bus_message_unref(message) }
    guard status >= 0, let made = unsafe message else { throw .failed(call: member, unit: unit, errno: -status) }
    var writer = unsafe BusWriter(made)
    write(&writer)
    if writer.status < 0 { throw .failed(call: member, unit: unit, errno: -writer.status) }
    var error = unsafe sd_bus_error()
    defer { unsafe sd_bus_error_free(&error) }
    var reply: OpaquePointer?
    status = unsafe sd_bus_call(bus, made, limit.microseconds, &error, &reply)
    defer { unsafe sd_bus_message_unref(reply) }
    guard status >= 0, let reply = unsafe reply else {
      throw unsafe failure(status, error, call: member, unit: unit)
    }
    return unsafe read(BusReader(reply))
  }

  /// A property that is a string.
  func string(_ property: String, of unit: String, path: String, interface: String) throws(BusError) -> String {
    let bus = try unsafe connected()
    var error = unsafe sd_bus_error()
    defer { unsafe sd_bus_error_free(&error) }
    var value: UnsafeMutablePointer<CChar>?
    let status = unsafe sd_bus_get_property_string(bus, destination, path, interface, property, &error, &value)
    guard status >= 0, let found = unsafe value else { throw unsafe failure(status, error, call: property, unit: unit) }
    defer { unsafe free(found) }
    return unsafe String(cString: found)
  }

  /// A property that is a number of 32 bits.
  func number(_ property: String, of unit: String, path: String, interface: String) throws(BusError) -> Int32 {
    let bus = try unsafe connected()
    var error = unsafe sd_bus_error()
    defer { unsafe sd_bus_error_free(&error) }
    var value: Int32 = 0
    let status = unsafe sd_bus_get_property_trivial(
      bus, destination, path, interface, property, &error, CChar(UInt8(ascii: "i")), &value)
    guard status >= 0 else { throw unsafe failure(status, error, call: property, unit: unit) }
    return value
  }

  /// A property that is a time, in microseconds; 0 where it has not been.
  func time(_ property: String, of unit: String, path: String, interface: String) throws(BusError) -> UInt64 {
    let bus = try unsafe connected()
    var error = unsafe sd_bus_error()
    defer { unsafe sd_bus_error_free(&error) }
    var value: UInt64 = 0
    let status = unsafe sd_bus_get_property_trivial(
      bus, destination, path, interface, property, &error, CChar(UInt8(ascii: "t")), &value)
    guard status >= 0 else { throw unsafe failure(status, error, call: property, unit: unit) }
    return value
  }

  private func failure(_ status: CInt, _ error: sd_bus_error, call: String, unit: String) -> BusError {
    let name = unsafe error.name.map { unsafe String(cString: $0) } ?? ""
    let message = unsafe error.message.map { unsafe String(cString: $0) } ?? ""
    // libsystemd says so itself when the time is over, and when the connection ends.
    let isLocal = name.hasPrefix("System.Error.") || name.hasPrefix("org.freedesktop.DBus.Error.Disconnected")
    if status == -ETIMEDOUT || name == "org.freedesktop.DBus.Error.NoReply" {
      disconnect()
      return .timedOut(call: call, unit: unit)
    }
    if name.isEmpty || isLocal {
      disconnect()
      return .failed(call: call, unit: unit, errno: -status)
    }
    return .refused(call: call, unit: unit, name: name, message: message)
  }
}

extension BusAddress {
  fileprivate var inWords: String {
    switch self {
    case .manager(let path): path
    case .systemBus: "system bus"
    }
  }
}

extension Duration {
  fileprivate var microseconds: UInt64 { UInt64(clamping: max(nanoseconds, 0) / 1000) }
}

extension String {
  /// D-Bus addresses: what is not in this set is written as %XX.
  fileprivate var escapedForAddress: String {
    utf8.map { byte in
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "/"),
        UInt8(ascii: "."):
        String(UnicodeScalar(byte))
      default: "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
      }
    }.joined()
  }
}
