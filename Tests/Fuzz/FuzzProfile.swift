// SPDX-License-Identifier: Apache-2.0
// Both decoders, fed by libFuzzer: whatever the bytes, the answer is a profile or an error. `make fuzz` runs it.

/// - See: https://llvm.org/docs/LibFuzzer.html
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
  var limits = ProfileLimits()
  limits.expandedBytes = 1 << 20
  guard let profile = try? Profile(decoding: bytes, limits: limits) else { return 0 }
  let stacks = profile.stackCounts()
  // What was read is written as it was, and reads again to the same.
  do {
    let again = try Profile(decoding: profile.encoded(compressed: false), limits: ProfileLimits())
    guard again.stackCounts() == stacks else { fatalError("written, it reads differently") }
    _ = try again.subtracting(profile)
  } catch {
    fatalError("what was written cannot be read: \(error)")
  }
  _ = try? Profile(text: Array(profile.text(name: "file").utf8))
  return 0
}
