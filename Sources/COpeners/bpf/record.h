// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// What the program in the kernel and its loader share.

#ifndef FDWATCH_OPENERS_RECORD_H
#define FDWATCH_OPENERS_RECORD_H

#include <linux/types.h>

enum {
  /// Descriptors above are not followed: 1 MiB holds what is known of these.
  FDWATCH_MOST_DESCRIPTORS = 65536,
  /// Of a stack so many pages are copied.
  FDWATCH_STACK_PAGES = 4,
  FDWATCH_PAGE = 4096,
  FDWATCH_REGISTERS = 21,
  /// Holds 250 records: five thousand new stacks a second at 20 readings.
  FDWATCH_RING_BYTES = 1 << 22,
  /// Blocks of 64 KiB that may hold code, by their number modulo this; a bit each.
  FDWATCH_TEXT_BLOCKS = 65536,
};

/// A stack, copied when its fingerprint was new, or to check it once more.
struct fdwatch_record {
  __u64 time;
  __u64 fingerprint;
  __u32 thread;
  __u32 call;
  /// `struct pt_regs` of x86-64: r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss.
  __u64 registers[FDWATCH_REGISTERS];
  __u32 stack_bytes;
  __u32 padding;
  char stack[FDWATCH_STACK_PAGES * FDWATCH_PAGE];
};

/// The last thing that happened to a descriptor's number. A time of 0: nothing, since tracing began.
struct fdwatch_opening {
  /// `CLOCK_MONOTONIC`.
  __u64 time;
  /// 0: it was closed.
  __u64 fingerprint;
};

#endif
