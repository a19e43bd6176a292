// SPDX-License-Identifier: Apache-2.0
// What has to be closed, and is reported where it is dropped instead.

import CLeakProfile
import Synchronization

/// Watches over something that has to be closed: held by whoever owns it, it reports "file /x: missing close" when it
/// goes away and ``close()`` was not called. Until then the profile has it.
///
/// ```swift
/// final class Handle {
///   let number: Int32
///   private let leakGuard: LeakGuard
///
///   init(path: String) throws {
///     number = try open(path)
///     leakGuard = LeakGuard(files, path, descriptor: number, skip: 1)
///   }
///   func close() { leakGuard.close(); Glibc.close(number) }
/// }
/// ```
public final class LeakGuard: Sendable {
  private let profile: Profile
  private let token: Profile.Token
  private let name: String
  private let descriptor: Int32
  private let isArmed = Atomic(true)

  /// - Parameters:
  ///   - name: what it is, for the report: a path, a peer.
  ///   - skip: how many of the innermost frames of the stack are of no interest; 0 begins with the caller.
  @inline(never)
  public convenience init(_ profile: Profile, _ name: String = "", descriptor: Int32? = nil, skip: Int = 0) {
    let token = Profile.Token()
    profile.add(token, descriptor: descriptor, skip: skip + 1)
    self.init(profile, token, name, descriptor ?? -1)
  }

  init(_ profile: Profile, _ token: Profile.Token, _ name: String, _ descriptor: Int32) {
    (self.profile, self.token, self.name, self.descriptor) = (profile, token, name, descriptor)
  }

  /// It is closed in order, and no report is due. Returns whether it was the first time.
  @discardableResult
  public func close() -> Bool {
    guard isArmed.exchange(false, ordering: .relaxed) else { return false }
    profile.remove(token)
    return true
  }

  deinit {
    if isArmed.load(ordering: .relaxed) { Leaks.dropped(profile, token, name, descriptor: descriptor) }
  }
}

/// A resource with one owner that has to close it: if it is dropped instead, that is reported.
///
/// ```swift
/// let file = Tracked(try Descriptor(path), in: files, path)
/// read(file.resource)
/// file.close { $0.close() }
/// ```
public struct Tracked<Resource: ~Copyable>: ~Copyable {
  /// To be used as long as it is open.
  public var resource: Resource
  private let leakGuard: LeakGuard

  /// Takes it over, and records who opened it.
  /// - Parameters: as those of ``LeakGuard``.
  @inline(never)
  public init(
    _ resource: consuming Resource, in profile: Profile, _ name: String = "", descriptor: Int32? = nil, skip: Int = 0
  ) {
    self.resource = resource
    let token = Profile.Token()
    profile.add(token, descriptor: descriptor, skip: skip + 1)
    leakGuard = LeakGuard(profile, token, name, descriptor ?? -1)
  }

  /// Gives the resource to who closes it.
  public consuming func close<Result: ~Copyable, Failure: Error>(
    _ body: (consuming Resource) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    leakGuard.close()
    return try body(resource)
  }
}

extension Tracked: Sendable where Resource: Sendable & ~Copyable {}
