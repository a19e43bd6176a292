// SPDX-License-Identifier: Apache-2.0
// One binary for all targets, so that the modules under test are built once: FUZZ_TARGET says which one runs.
// Without it, the names are listed. Run it through Tests/Fuzz/run.sh.

import Glibc

/// libFuzzer's own loop: https://llvm.org/docs/LibFuzzer.html#using-libfuzzer-as-a-library
@_silgen_name("LLVMFuzzerRunDriver")
func runFuzzer(
  _ argumentCount: UnsafeMutablePointer<CInt>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ fuzzOne: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

// By the environment and not by an argument: libFuzzer starts itself anew with its own arguments (-merge, -fork).
guard let name = unsafe getenv("FUZZ_TARGET").map({ unsafe String(cString: $0) }) else {
  for target in Target.all { print(target.name) }
  exit(0)
}
guard let chosen = Target.all.first(where: { $0.name == name }) else { fatalError("there is no target \(name)") }
nonisolated(unsafe) let fuzz = chosen.make().fuzz

var argumentCount = CommandLine.argc
var arguments = unsafe CommandLine.unsafeArgv
exit(
  unsafe runFuzzer(&argumentCount, &arguments) { start, count in
    unsafe fuzz(Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
  })
