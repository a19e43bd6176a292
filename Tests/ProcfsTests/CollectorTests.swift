// SPDX-License-Identifier: Apache-2.0
// Which runtimes close what was dropped.

import Descriptors
import TestSupport
import Testing

@testable import Procfs

@Suite struct `The collector of a process` {
  private func found(_ maps: String) -> Collector { Collector(maps: Array(maps.utf8)) }

  @Test func `is seen in a real Go program`() throws {
    let program = try GoProgram()
    #expect(try Watched(program.pid).directory.collector() == .periodic)
  }

  @Test func `is not seen where there is none`() throws {
    let child = try FDFactory()
    #expect(try Watched(child).directory.collector() == .none)
  }

  @Test(arguments: [
    "7f1-7f2 r-xp 00000000 fe:00 77   /usr/lib/jvm/java-17-openjdk-amd64/lib/server/libjvm.so",
    "7f1-7f2 r-xp 00000000 fe:00 77   /usr/share/dotnet/shared/Microsoft.NETCore.App/8.0.1/libcoreclr.so",
    "7f1-7f2 r-xp 00000000 fe:00 77   /usr/bin/ruby3.1",
  ]) func `is told by what is mapped`(line: String) {
    #expect(found("55-56 r--p 00000000 fe:00 1   /usr/bin/app\n\(line)\n") == .onDemand)
  }

  @Test(arguments: [1, 7, 64, 4096]) func `is found wherever the pieces end`(size: Int) {
    func search(_ text: String) -> Collector {
      let bytes = Array(text.utf8)
      var search = CollectorSearch()
      for start in stride(from: 0, to: bytes.count, by: size) {
        search.take(Array(bytes[start..<min(start + size, bytes.count)]))
      }
      search.end()
      return search.found
    }
    let long = "7f3-7f4 r--p 00000000 fe:00 9   /\(String(repeating: "x/", count: 40_000))"
    let anonymous = "c000000000-c000400000 rw-p 00000000 00:00 0 \n"
    #expect(
      search("55-56 r--p 00000000 fe:00 1   /usr/bin/app\n\(long)libjvm.so\n7f5-7f6 rw-p 0 00:00 0 \n") == .onDemand)
    #expect(search("\(long)libjvm.so\n\(anonymous)7f1-7f2 r-xp 0 fe:00 7 /usr/bin/ruby3.1\n") == .periodic)
    #expect(search("\(long)app\n") == .none && search("") == .none && search("\(long)libjvm.so") == .onDemand)
  }

  /// The address alone is no sign: a program may map a file of its own there.
  @Test func `is not feigned by a file at Go's address, or a folder's name`() {
    #expect(found("c000000000-c000400000 rw-p 00000000 fe:00 99   /srv/data\n") == .none)
    #expect(found("c000000000-c000400000 rw-p 00000000 00:00 0 \n") == .periodic)
    #expect(found("7f1-7f2 r-xp 00000000 fe:00 77   /opt/libjvm.so/plugin\n") == .none)
  }
}
