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
    "__libc_", "__GI_", "_start", "start_thread", "clone", "swift_", "Foundation.", "FoundationEssentials.", "NIOCore.",
    "NIOPosix.", "LeakProfile.", "leakprofile_",
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
  ]

  package func isOwn(_ frame: String) -> Bool {
    if frame.isEmpty || frame.hasPrefix("0x") { return false }
    let words = frame.split(separator: " ", maxSplits: 1)
    let function = words.first ?? ""
    if Self.names.contains(function) || Self.functions.contains(where: function.hasPrefix) { return false }
    // `libc.so.6+0x1234`: a library without symbols.
    if words.count == 1, function.contains(".so"), function.contains("+0x") { return false }
    if words.count == 2, Self.folders.contains(where: words[1].contains) { return false }
    return !wrappers.contains { unsafe fnmatch($0, frame, 0) == 0 || fnmatch($0, String(function), 0) == 0 }
  }

  /// The index of the innermost frame of the program's own; of the leaf where there is none.
  package func own(_ frames: [String]) -> Int { frames.firstIndex(where: isOwn) ?? 0 }
}
