// SPDX-License-Identifier: Apache-2.0
// The table as it lies in memory. docs/leakprofile-format.md describes the part that others read.
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "leakprofile.h"

enum {
  page = 4096,
  /// Values are spread over so many locks by their keys.
  stripe_count = 32,
  /// A stripe takes entries in such numbers: 1 KiB, so that a small table stays small.
  chunk_entries = 32,
  inline_slots = 32,
  stack_buckets = 1 << 16,
};

/// Of one profile, in the table.
struct profile_record {
  _Atomic uint32_t state;
  uint32_t reserved;
  _Atomic uint64_t lost_values;
  uint64_t reserved2[2];
  char name[LEAKPROFILE_LONGEST_NAME + 1];
};

/// One value. `state` says all: stack in the lower half (0: the entry is free), generation in the upper one.
struct entry {
  _Atomic uint64_t state;
  _Atomic uint64_t key;
  _Atomic int32_t fd;
  _Atomic uint32_t every;
  _Atomic uint32_t profile;
  uint32_t reserved;
};

/// A stack. Once an entry or a bucket refers to it, it never changes.
struct stack {
  uint32_t hash;
  /// The next one of the same bucket, for the writer alone.
  _Atomic uint32_t next;
  uint32_t depth;
  uint32_t reserved;
  uint64_t frames[];
};

struct header {
  _Atomic uint64_t magic;
  uint32_t version;
  uint32_t pid;
  uint64_t size;
  uint64_t started;
  uint64_t profiles;
  uint64_t stacks;
  uint64_t stacks_size;
  uint64_t entries;
  uint32_t profile_size, profile_capacity;
  uint32_t entry_size, entry_capacity;
  // Each on a cache line of its own.
  _Alignas(64) _Atomic uint32_t profile_count;
  _Alignas(64) _Atomic uint64_t stacks_used;
  _Alignas(64) _Atomic uint32_t entries_used;
  _Alignas(64) _Atomic uint64_t lost_stacks;
};

_Static_assert(sizeof(struct profile_record) == 128, "as documented");
_Static_assert(sizeof(struct entry) == 32, "as documented");
_Static_assert(sizeof(struct stack) == 16, "as documented");
_Static_assert(sizeof(struct header) == 384, "as documented");

/// A part of the values: those whose keys hash to it.
struct stripe {
  _Alignas(64) _Atomic uint32_t lock;
  uint32_t used, mask;
  /// Entries given back, linked through their keys; 0 or 1 more than the number.
  uint32_t free;
  uint32_t chunk_next, chunk_end;
  /// Open addressing: hash in the upper half, 1 more than the entry's number in the lower; 0 where there is none.
  uint64_t *slots;
  uint64_t inline_index[inline_slots];
  uint32_t live[LEAKPROFILE_MOST_PROFILES];
};

/// What the process keeps for itself. The kernel makes it zero in a child of fork(2), locks and all: so the child begins
/// with nothing, whatever its parent's threads were doing.
struct core {
  _Atomic uint32_t lock;
  /// NULL until the first value.
  _Atomic(struct header *) table;
  int descriptor;
  struct stripe stripes[stripe_count];
  _Atomic uint32_t buckets[stack_buckets];
};

/// `NULL` if there is no memory for it.
struct core *leakprofile_core(void);
/// The table, made if there is none. `NULL` if there is no memory for it.
struct header *leakprofile_table(struct core *core);

void leakprofile_lock(_Atomic uint32_t *lock);
void leakprofile_unlock(_Atomic uint32_t *lock);

/// How a profile samples: 0 is off.
static inline uint32_t leakprofile_sampling(int profile) {
  return __atomic_load_n(&leakprofile_every[profile], __ATOMIC_RELAXED);
}

extern _Atomic uint32_t leakprofile_profile_count;

/// The stack of `frame`'s caller and its callers, without `skip` of them, as a number in the table. Never 0.
uint32_t leakprofile_stack(struct core *core, struct header *table, void *frame, int skip);
/// Its frames and depth, as far as the table has them.
const uint64_t *leakprofile_frames(struct header *table, uint32_t stack, int *depth);
/// Frames that the unwinder of the platform finds, beginning with who called `leakprofile_add`.
int leakprofile_unwind(uint64_t *frames, int most, uint64_t first);

static inline struct entry *leakprofile_entries(struct header *table) {
  return (struct entry *)((char *)table + table->entries);
}

static inline struct profile_record *leakprofile_record(struct header *table, int profile) {
  return (struct profile_record *)((char *)table + table->profiles) + profile;
}

static inline uint64_t leakprofile_mix(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ULL;
  return x ^ (x >> 33);
}
