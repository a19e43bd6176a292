// SPDX-License-Identifier: Apache-2.0
// Who holds what, with the stack that took it.

import CLeakProfile

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The values of one sort that the program holds, such as its open files, each with the stack that added it.
///
/// fdwatch reads it from outside at any moment, also while the program hangs or has no descriptor left. A profile is
/// there for as long as the process, and never keeps a value alive: it knows it by its identity, its descriptor's number
/// or a token.
///
/// ```swift
/// let files = Profile("file")
///
/// files.add(handle, descriptor: handle.number)  // the stack begins with who calls this
/// files.remove(handle)
/// ```
///
/// A child of `fork` begins with empty profiles: what it inherited was opened by its parent.
public final class Profile: Sendable {
  /// By which it is known to all.
  public let name: String
  let number: Int32

  private init(name: String, number: Int32) { (self.name, self.number) = (name, number) }

  /// Makes a profile. By convention its name begins with that of the package, unless it is of files: `file`.
  ///
  /// Traps if there is a profile of that name already, and on a name that is empty or longer than 95 bytes.
  public convenience init(_ name: String) {
    let number = unsafe leakprofile_new(name)
    precondition(number != -EEXIST, "there is a profile \"\(name)\" already")
    precondition(number != -ENOSPC, "there are \(LEAKPROFILE_MOST_PROFILES) profiles already")
    precondition(number >= 0, "\"\(name)\" is no name for a profile")
    self.init(name: name, number: number)
  }

  /// The profile of that name, whoever made it.
  public static func named(_ name: String) -> Profile? {
    let number = unsafe leakprofile_find(name)
    return number >= 0 ? Profile(name: name, number: number) : nil
  }

  /// All profiles of the process.
  public static var all: [Profile] {
    var profiles: [Profile] = []
    while let name = unsafe leakprofile_name(Int32(profiles.count)) {
      unsafe profiles.append(Profile(name: String(cString: name), number: Int32(profiles.count)))
    }
    return profiles
  }

  /// Of how many values one is recorded; 0 is off, when ``add(_:descriptor:skip:)`` costs one atomic load.
  ///
  /// A change to anything but 1 forgets what was recorded.
  public func record(every: Int) { leakprofile_sample(number, UInt32(clamping: every)) }

  /// How many values are recorded, not scaled by sampling.
  public var count: Int { Int(leakprofile_count(number)) }

  /// What did not fit in the table so far.
  public var lost: (values: Int, stacks: Int) {
    var (values, stacks): (UInt64, UInt64) = (0, 0)
    unsafe leakprofile_lost(number, &values, &stacks)
    return (Int(clamping: values), Int(clamping: stacks))
  }

  /// The size of the table of all profiles, 64 KiB to 1 GiB, where 16 MiB is not right. What is not used of it costs
  /// nothing. Returns whether it was in time: before the first value.
  @discardableResult
  public static func reserve(bytes: Int) -> Bool { leakprofile_configure(bytes) == 0 }

  /// The descriptor that shows the profiles to fdwatch, or `nil`: there was no value yet, or there are no memfds here.
  public static var descriptor: Int32? {
    let number = leakprofile_descriptor()
    return number < 0 ? nil : number
  }
}

// MARK: Adding and removing

extension Profile {
  /// Names a value that has no identity of its own. No two are equal in the life of a process.
  public struct Token: Hashable, Sendable {
    let key: UInt64

    /// A token like no other.
    public init() { key = leakprofile_token() }
  }

  /// Records that an object is held, with the stack of the caller.
  ///
  /// Traps if it was added before and not removed.
  /// - Parameters:
  ///   - descriptor: the number of the descriptor that it has, by which fdwatch knows it.
  ///   - skip: how many of the innermost frames are of no interest; 0 begins with the caller.
  @inline(never)
  public func add(_ object: AnyObject, descriptor: Int32? = nil, skip: Int = 0) {
    if leakprofile_is_on(number) == 0 { return }
    let key = UInt64(UInt(bitPattern: ObjectIdentifier(object)))
    check(leakprofile_add(number, key, descriptor ?? -1, Int32(clamping: skip &+ 1)))
  }

  /// Records that an object is held no more. Without effect if it was not added.
  public func remove(_ object: AnyObject) {
    leakprofile_remove(number, UInt64(UInt(bitPattern: ObjectIdentifier(object))))
  }

  /// Records that a descriptor is open.
  ///
  /// Traps if the same number was added and not removed: whoever closes it has to say so.
  @inline(never)
  public func add(descriptor: Int32, skip: Int = 0) {
    if leakprofile_is_on(number) == 0 { return }
    check(leakprofile_add(number, Self.key(descriptor), descriptor, Int32(clamping: skip &+ 1)))
  }

  /// Records that a descriptor was closed. Without effect if it was not added.
  public func remove(descriptor: Int32) { leakprofile_remove(number, Self.key(descriptor)) }

  /// Records that what the token stands for is held.
  @inline(never)
  public func add(_ token: Token, descriptor: Int32? = nil, skip: Int = 0) {
    if leakprofile_is_on(number) == 0 { return }
    check(leakprofile_add(number, token.key, descriptor ?? -1, Int32(clamping: skip &+ 1)))
  }

  /// Records that what the token stands for is held no more.
  public func remove(_ token: Token) { leakprofile_remove(number, token.key) }

  // After the call, which so is no jump: its frame is counted.
  private func check(_ result: Int32) {
    precondition(result != -EEXIST, "a value was added to the profile \"\(name)\" that is in it already")
  }

  // Apart from tokens and objects, should a profile have both.
  private static func key(_ descriptor: Int32) -> UInt64 { UInt64(UInt32(bitPattern: descriptor)) | 1 << 63 }

  /// Removes it, and tells by what stack it was added.
  func take(_ token: Token) -> [UInt64] {
    unsafe withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 32) { frames in
      let depth = unsafe leakprofile_take(number, token.key, frames.baseAddress, 32)
      return unsafe depth > 0 ? Array(frames[..<Int(depth)]) : []
    }
  }
}
