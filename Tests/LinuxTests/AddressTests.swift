// SPDX-License-Identifier: Apache-2.0

import Linux
import Testing

@Suite struct `A numeric address` {
  @Test func `is read to its end, and not to a zero byte`() {
    #expect(Host.isAddress("127.0.0.1", version6: false) && Host.isAddress("::1", version6: true))
    #expect(!Host.isAddress("127.0.0.1\0", version6: false) && !Host.isAddress("::1\0.example", version6: true))
  }
}
