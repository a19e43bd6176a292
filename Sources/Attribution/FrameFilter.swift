// SPDX-License-Identifier: Apache-2.0
// Which frames of a stack are the program's own.

import Glibc

/// Tells a program's own code from its runtime, its libraries, and wrappers that whoever runs fdwatch named.
///
/// By names and paths alone, as profiles tell no more. The skipped frames stay in the stack.
package struct FrameFilter: Sendable {
  /// Globs (fnmatch(3)) of frames, `function file:line`, that are not to be blamed.
  private let wrappers: [String]

  package init(skipping wrappers: [String] = []) { self.wrappers = wrappers }

  /// Beginnings of functions of runtimes and standard libraries.
  private static let functions = [
    // Go's standard library and what its team keeps beside it.
    "runtime.", "runtime/", "os.", "os/", "net.", "net/", "syscall.", "internal/", "io.", "io/", "bufio.", "crypto/",
    "database/sql", "time.", "sync.", "sync/", "reflect.", "context.", "path/filepath.", "compress/", "archive/",
    "log.",
    "log/", "golang.org/x/",
    // The Java virtual machine and its class library.
    "java.", "java.base/", "javax.", "jdk.", "sun.", "com.sun.",
    // Rust and what most of it runs on.
    "std::", "core::", "alloc::", "<std::", "<core::", "<alloc::", "tokio::", "mio::", "<tokio::", "<mio::",
    // C, C++ and Swift.
    "__libc_", "__GI_", "swift_", "Foundation.", "FoundationEssentials.", "NIOCore.", "NIOPosix.", "LeakProfile.",
    "leakprofile_",
    // Python's interpreter, and libffi, by which it and others call C.
    "_Py", "Py_", "PyObject_", "PyEval_", "PyRun_", "PyVectorcall_", "PyCFuncPtr_", "_ctypes_",
    "_call_function_pointer", "ffi_call", "pymain_",
  ]

  /// Beginnings of functions that call a program's first one, or a thread's: no opener in any case, though nothing else
  /// may be left of a stack, as where compilers have put a function into its caller and `skip` takes away both.
  private static let starters = [
    "_start", "__libc_start", "__libc_init", "start_thread", "thread_start", "clone", "__clone", "_dl_",
  ]

  /// Beginnings of files of which it is known that they have no code of the program's own, and often no symbols.
  private static let files = [
    "libc.so", "libc-", "ld-linux", "libpthread", "libffi", "libpython", "python", "_ctypes.",
  ]

  /// Whole names of functions of the C library that give out descriptors, or lead to what does.
  private static let names: Set<Substring> = [
    "open", "open64", "openat", "openat64", "creat", "fopen", "fopen64", "fdopen", "opendir", "socket", "socketpair",
    "accept", "accept4", "pipe", "pipe2", "dup", "dup2", "dup3", "eventfd", "epoll_create", "epoll_create1",
    "timerfd_create", "signalfd", "inotify_init", "inotify_init1", "memfd_create", "mkstemp", "mkostemp", "main.init",
  ]

  /// Where libraries lie that are not the program's own.
  private static let folders = [
    "/usr/lib/go", "/usr/local/go/src/", "/go/pkg/mod/", "/vendor/", "/rustc/", "/.cargo/registry/", "/usr/lib/python3",
    "/usr/local/lib/python3", "/site-packages/", "/dist-packages/", "/node_modules/", "node:internal", "/usr/include/",
    "/libexec/src/",
    // CPython's interpreter, where it was built with debug data: its static functions have names as a program's own.
    "Python/ceval", "Python/pythonrun.c", "Python/bltinmodule.c", "Modules/main.c", "Objects/call.c",
    "Objects/methodobject.c", "Objects/descrobject.c", "Objects/classobject.c", "Objects/typeobject.c",
  ]

  package func isOwn(_ frame: String) -> Bool {
    if frame.isEmpty || frame.hasPrefix("0x") { return false }
    let words = frame.split(separator: " ", maxSplits: 1)
    let function = words.first ?? ""
    if Self.names.contains(function) || Self.functions.contains(where: function.hasPrefix) { return false }
    if Self.starters.contains(where: function.hasPrefix) { return false }
    // `libc.so.6+0x1234`: a library without symbols.
    if words.count == 1, function.contains("+0x"), function.contains(".so") || isForeignFile(function) { return false }
    if words.count == 2, Self.folders.contains(where: words[1].contains) { return false }
    return !wrappers.contains { unsafe fnmatch($0, frame, 0) == 0 || fnmatch($0, String(function), 0) == 0 }
  }

  private func isForeignFile(_ function: Substring) -> Bool { Self.files.contains(where: function.hasPrefix) }

  private func mayOpen(_ frame: String) -> Bool {
    let function = frame.prefix { $0 != " " }
    let isUnnamed = function.contains("+0x") && isForeignFile(function)
    return !isUnnamed && !Self.starters.contains(where: function.hasPrefix) && !function.hasPrefix("ffi_call")
  }

  /// The index of the innermost frame of the program's own. Where there is none that of the innermost one which may have
  /// opened anything at all; else what is beyond the end.
  package func own(_ frames: [String]) -> Int {
    frames.firstIndex(where: isOwn) ?? frames.firstIndex(where: mayOpen) ?? frames.count
  }

  /// A stack and whom it blames. Where no frame is the program's own, as an interpreter's are alike for all that it runs,
  /// the profile's name may tell the call site, after a space: `file first_line server.py:57`. It is the leaf then.
  package func named(_ frames: [String], in profile: String) -> (frames: [String], own: Int) {
    if !frames.contains(where: isOwn), let space = profile.firstIndex(of: " ") {
      let site = profile[profile.index(after: space)...]
      if !site.isEmpty { return ([String(site)] + frames, 0) }
    }
    return (frames, own(frames))
  }
}
