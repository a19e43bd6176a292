// SPDX-License-Identifier: Apache-2.0
// Adding values, removing them, and looking at those that are there.

#include "table.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

static inline uint64_t hash_of(int profile, uint64_t key) {
  return leakprofile_mix(key + (uint64_t)(profile + 1) * 0x9e3779b97f4a7c15ULL);
}

// The upper bits choose the stripe, the lower ones the slot; what is between decides on sampling.
static inline struct stripe *stripe_of(struct core *core, uint64_t hash) {
  return &core->stripes[hash >> 59];
}

static inline bool is_sampled(uint64_t hash, uint32_t every) {
  return every == 1 || (((hash >> 16) & 0xffffffff) * every) >> 32 == 0;
}

// MARK: The index of a stripe

static void use_inline_slots(struct stripe *stripe) {
  stripe->slots = stripe->inline_index;
  stripe->mask = inline_slots - 1;
}

static inline struct entry *entry_of(struct header *table, uint64_t slot) {
  return leakprofile_entries(table) + ((uint32_t)slot - 1);
}

/// Where a value is in the index, or where it would be put: then the slot there is 0.
static inline uint32_t search(const struct stripe *stripe, struct header *table, uint32_t hash, int profile,
                              uint64_t key) {
  uint32_t at = hash & stripe->mask;
  while (stripe->slots[at] != 0) {
    if (stripe->slots[at] >> 32 == hash) {
      struct entry *entry = entry_of(table, stripe->slots[at]);
      if (atomic_load_explicit(&entry->key, memory_order_relaxed) == key &&
          atomic_load_explicit(&entry->profile, memory_order_relaxed) == (uint32_t)profile)
        return at;
    }
    at = (at + 1) & stripe->mask;
  }
  return at;
}

/// So that no slot is left in a place where a search would not come by.
static void remove_slot(struct stripe *stripe, uint32_t at) {
  uint32_t next = at;
  for (;;) {
    next = (next + 1) & stripe->mask;
    uint64_t slot = stripe->slots[next];
    if (slot == 0) break;
    uint32_t wanted = (uint32_t)(slot >> 32) & stripe->mask;
    if (((next - wanted) & stripe->mask) >= ((next - at) & stripe->mask)) {
      stripe->slots[at] = slot;
      at = next;
    }
  }
  stripe->slots[at] = 0;
  stripe->used--;
}

static bool grow(struct stripe *stripe) {
  uint32_t count = stripe->mask + 1;
  uint32_t wanted = count == inline_slots ? 512 : count * 2;
  uint64_t *slots =
      mmap(NULL, wanted * sizeof *slots, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (slots == MAP_FAILED) return false;
#ifdef MADV_DONTFORK
  // A child begins with an empty table.
  madvise(slots, wanted * sizeof *slots, MADV_DONTFORK);
#endif
  for (uint32_t i = 0; i < count; i++) {
    if (stripe->slots[i] == 0) continue;
    uint32_t at = (uint32_t)(stripe->slots[i] >> 32) & (wanted - 1);
    while (slots[at] != 0) at = (at + 1) & (wanted - 1);
    slots[at] = stripe->slots[i];
  }
  if (stripe->slots != stripe->inline_index) munmap(stripe->slots, count * sizeof *slots);
  stripe->slots = slots;
  stripe->mask = wanted - 1;
  return true;
}

// MARK: Entries

/// The number of an entry that is free, or -1.
static int64_t take_entry(struct stripe *stripe, struct header *table) {
  if (stripe->free != 0) {
    uint32_t number = stripe->free - 1;
    uint64_t next = atomic_load_explicit(&leakprofile_entries(table)[number].key, memory_order_relaxed);
    // It lies in memory that others may see, and on old kernels write.
    stripe->free = next <= table->entry_capacity ? (uint32_t)next : 0;
    return number;
  }
  if (stripe->chunk_next == stripe->chunk_end) {
    uint32_t first = atomic_load_explicit(&table->entries_used, memory_order_relaxed);
    do {
      if (first + chunk_entries > table->entry_capacity) return -1;
    } while (!atomic_compare_exchange_weak_explicit(&table->entries_used, &first, first + chunk_entries,
                                                    memory_order_relaxed, memory_order_relaxed));
    stripe->chunk_next = first;
    stripe->chunk_end = first + chunk_entries;
  }
  return stripe->chunk_next++;
}

// What a reader sees of an entry is one value, whole: `state` is written last when the entry is put to use, and first
// when it is given back. Where it says the same before and after the rest was read, the rest belongs to it. Every store
// is a release, so that none is seen before the ones that precede it.

static void fill_entry(struct entry *entry, int profile, uint64_t key, int fd, uint32_t every, uint32_t stack) {
  atomic_store_explicit(&entry->key, key, memory_order_release);
  atomic_store_explicit(&entry->fd, fd, memory_order_release);
  atomic_store_explicit(&entry->every, every, memory_order_release);
  atomic_store_explicit(&entry->profile, (uint32_t)profile, memory_order_release);
  uint64_t generation = atomic_load_explicit(&entry->state, memory_order_relaxed) >> 32;
  atomic_store_explicit(&entry->state, (generation + 1) << 32 | stack, memory_order_release);
}

static void free_entry(struct stripe *stripe, struct header *table, uint32_t number) {
  struct entry *entry = leakprofile_entries(table) + number;
  uint64_t generation = atomic_load_explicit(&entry->state, memory_order_relaxed) >> 32;
  atomic_store_explicit(&entry->state, (generation + 1) << 32, memory_order_release);
  atomic_store_explicit(&entry->key, stripe->free, memory_order_release);
  stripe->free = number + 1;
}

// MARK: For programs

uint64_t leakprofile_token(void) {
  // Odd, and so no address; unlike a number of a descriptor, too.
  static _Atomic uint64_t last;
  return (atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) << 1 | 1) | (uint64_t)1 << 62;
}

static __attribute__((noinline)) int add(int profile, uint64_t key, int fd, int skip, uint32_t every, void *frame) {
  uint64_t hash = hash_of(profile, key);
  if (!is_sampled(hash, every)) return 0;
  struct core *core = leakprofile_core();
  struct header *table = core == NULL ? NULL : leakprofile_table(core);
  if (table == NULL) return 0;
  uint32_t stack = leakprofile_stack(core, table, frame, skip > 0 ? skip : 0);

  struct stripe *stripe = stripe_of(core, hash);
  int result = 0;
  leakprofile_lock(&stripe->lock);
  if (stripe->slots == NULL) use_inline_slots(stripe);
  uint32_t at = search(stripe, table, (uint32_t)hash, profile, key);
  if (leakprofile_sampling(profile) != every) {
    // Turned off meanwhile, and what was recorded forgotten.
  } else if (stripe->slots[at] != 0) {
    result = -EEXIST;
  } else {
    if (stripe->used >= stripe->mask - stripe->mask / 4) {
      if (grow(stripe)) at = search(stripe, table, (uint32_t)hash, profile, key);
    }
    // One slot stays empty, or a search would have no end.
    int64_t number = stripe->used < stripe->mask ? take_entry(stripe, table) : -1;
    if (number < 0) {
      atomic_fetch_add_explicit(&leakprofile_record(table, profile)->lost_values, 1, memory_order_relaxed);
    } else {
      fill_entry(leakprofile_entries(table) + number, profile, key, fd, every, stack);
      stripe->slots[at] = hash << 32 | (uint32_t)(number + 1);
      stripe->used++;
      stripe->live[profile]++;
    }
  }
  leakprofile_unlock(&stripe->lock);
  return result;
}

// Small, as it is all that runs while a profile is off.
__attribute__((noinline)) int leakprofile_add(int profile, uint64_t key, int fd, int skip) {
  if ((unsigned)profile >= LEAKPROFILE_MOST_PROFILES) return -EINVAL;
  uint32_t every = leakprofile_sampling(profile);
  if (every == 0) return 0;
  int result = add(profile, key, fd, skip, every, __builtin_frame_address(0));
  // Not by a jump: the frame that was handed on has to be there meanwhile.
  __asm__ volatile("" : "+r"(result));
  return result;
}

int leakprofile_take(int profile, uint64_t key, uint64_t *frames, int most) {
  if ((unsigned)profile >= LEAKPROFILE_MOST_PROFILES) return -ENOENT;
  uint32_t every = leakprofile_sampling(profile);
  if (every == 0) return -ENOENT;
  uint64_t hash = hash_of(profile, key);
  if (!is_sampled(hash, every)) return -ENOENT;
  struct core *core = leakprofile_core();
  if (core == NULL) return -ENOENT;
  // In a child of fork(2) there is none: nothing of the parent's is removed.
  struct header *table = atomic_load_explicit(&core->table, memory_order_acquire);
  if (table == NULL) return -ENOENT;

  struct stripe *stripe = stripe_of(core, hash);
  int depth = -ENOENT;
  leakprofile_lock(&stripe->lock);
  if (stripe->slots != NULL) {
    uint32_t at = search(stripe, table, (uint32_t)hash, profile, key);
    if (stripe->slots[at] != 0) {
      uint32_t number = (uint32_t)stripe->slots[at] - 1;
      struct entry *entry = leakprofile_entries(table) + number;
      depth = 0;
      if (most > 0) {
        uint32_t stack = (uint32_t)atomic_load_explicit(&entry->state, memory_order_relaxed);
        const uint64_t *found = leakprofile_frames(table, stack, &depth);
        if (depth > most) depth = most;
        if (depth > 0) memcpy(frames, found, (size_t)depth * sizeof *frames);
      }
      free_entry(stripe, table, number);
      remove_slot(stripe, at);
      stripe->live[profile]--;
    }
  }
  leakprofile_unlock(&stripe->lock);
  return depth;
}

int leakprofile_remove(int profile, uint64_t key) { return leakprofile_take(profile, key, NULL, 0) >= 0; }

size_t leakprofile_count(int profile) {
  struct core *core = leakprofile_name(profile) == NULL ? NULL : leakprofile_core();
  if (core == NULL || atomic_load_explicit(&core->table, memory_order_acquire) == NULL) return 0;
  size_t count = 0;
  for (int i = 0; i < stripe_count; i++) {
    struct stripe *stripe = &core->stripes[i];
    leakprofile_lock(&stripe->lock);
    count += stripe->live[profile];
    leakprofile_unlock(&stripe->lock);
  }
  return count;
}

/// All values of a profile are forgotten.
static void clear(struct core *core, struct header *table, int profile) {
  for (int i = 0; i < stripe_count; i++) {
    struct stripe *stripe = &core->stripes[i];
    leakprofile_lock(&stripe->lock);
    for (uint32_t at = 0; stripe->slots != NULL && stripe->live[profile] > 0 && at <= stripe->mask;) {
      uint64_t slot = stripe->slots[at];
      uint32_t number = (uint32_t)slot - 1;
      if (slot != 0 && atomic_load_explicit(&leakprofile_entries(table)[number].profile, memory_order_relaxed) ==
                           (uint32_t)profile) {
        free_entry(stripe, table, number);
        // What stood behind may have come here.
        remove_slot(stripe, at);
        stripe->live[profile]--;
      } else {
        at++;
      }
    }
    leakprofile_unlock(&stripe->lock);
  }
}

int leakprofile_sample(int profile, unsigned every) {
  if (leakprofile_name(profile) == NULL) return -EINVAL;
  uint32_t before = __atomic_exchange_n(&leakprofile_every[profile], every, __ATOMIC_SEQ_CST);
  struct core *core = leakprofile_core();
  struct header *table = core == NULL ? NULL : atomic_load_explicit(&core->table, memory_order_acquire);
  if (table != NULL && before != every && every != 1) clear(core, table, profile);
  return 0;
}

void leakprofile_visit(int profile, void (*visit)(void *, uint64_t, int, unsigned, const uint64_t *, int),
                       void *context) {
  struct core *core = leakprofile_name(profile) == NULL ? NULL : leakprofile_core();
  struct header *table = core == NULL ? NULL : atomic_load_explicit(&core->table, memory_order_acquire);
  if (table == NULL) return;
  uint32_t used = atomic_load_explicit(&table->entries_used, memory_order_acquire);
  for (uint32_t i = 0; i < used && i < table->entry_capacity; i++) {
    struct entry *entry = leakprofile_entries(table) + i;
    // As a reader in another process does: nobody is kept waiting.
    uint64_t state = atomic_load_explicit(&entry->state, memory_order_acquire);
    for (int turn = 0; turn < 8 && (uint32_t)state != 0; turn++) {
      uint64_t key = atomic_load_explicit(&entry->key, memory_order_acquire);
      int fd = atomic_load_explicit(&entry->fd, memory_order_acquire);
      uint32_t every = atomic_load_explicit(&entry->every, memory_order_acquire);
      uint32_t owner = atomic_load_explicit(&entry->profile, memory_order_acquire);
      uint64_t now = atomic_load_explicit(&entry->state, memory_order_acquire);
      if (now != state) {
        state = now;
        continue;
      }
      int depth;
      if (owner == (uint32_t)profile) {
        const uint64_t *frames = leakprofile_frames(table, (uint32_t)state, &depth);
        visit(context, key, fd, every, frames, depth);
      }
      break;
    }
  }
}
