// SPDX-License-Identifier: Apache-2.0
// Memory that another process writes while we read: C11's atomics, which Swift cannot apply to it.
#define _GNU_SOURCE
#include "CLinux.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/statfs.h>

const int fdwatch_F_SEAL_SHRINK = F_SEAL_SHRINK, fdwatch_F_SEAL_GROW = F_SEAL_GROW;

int fdwatch_seals(int descriptor) { return fcntl(descriptor, F_GET_SEALS); }

int fdwatch_is_tmpfs(int descriptor) {
  struct statfs fs;
  return fstatfs(descriptor, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

const void *fdwatch_map(int descriptor, size_t size) {
  void *memory = mmap(NULL, size, PROT_READ, MAP_SHARED, descriptor, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

void fdwatch_unmap(const void *memory, size_t size) { munmap((void *)memory, size); }

void fdwatch_copy_words(const void *memory, uint64_t *copy, size_t count) {
  const _Atomic uint64_t *from = memory;
  for (size_t i = 0; i < count; i++) copy[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
  atomic_thread_fence(memory_order_acquire);
}

size_t fdwatch_copy_records(const void *memory, uint64_t *copy, size_t count, size_t words) {
  size_t copied = 0;
  for (size_t i = 0; i < count; i++) {
    const _Atomic uint64_t *from = (const _Atomic uint64_t *)memory + i * words;
    uint64_t *to = copy + i * words;
    uint64_t first = atomic_load_explicit(&from[0], memory_order_acquire);
    if (first == to[0]) continue;
    copied++;
    int turns = 0;
    for (;;) {
      to[0] = first;
      for (size_t word = 1; word < words; word++)
        to[word] = atomic_load_explicit(&from[word], memory_order_acquire);
      uint64_t now = atomic_load_explicit(&from[0], memory_order_acquire);
      if (now == first) break;
      first = now;
      if (++turns == 64) {
        to[0] = 0;
        break;
      }
    }
  }
  return copied;
}
