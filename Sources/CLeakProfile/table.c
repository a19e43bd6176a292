// SPDX-License-Identifier: Apache-2.0
// The profiles, and the table that is made for them: a memfd where there is one, else memory of the process alone.

#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#else
#include <sched.h>
#endif

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

unsigned leakprofile_every[LEAKPROFILE_MOST_PROFILES];
_Atomic uint32_t leakprofile_profile_count;

static char names[LEAKPROFILE_MOST_PROFILES][LEAKPROFILE_LONGEST_NAME + 1];
static size_t table_bytes = 16 << 20;
static _Atomic(struct core *) core_pointer;

/// What a child of fork(2) has to give back. Written while the table is made.
static struct {
  void *address;
  size_t size;
  int descriptor;
  dev_t device;
  ino_t inode;
  pid_t pid;
  bool is_wiped_by_kernel;
} inherited;

// MARK: Locks

// Held for some hundred instructions, and never while anything of the program runs.
void leakprofile_lock(_Atomic uint32_t *lock) {
  uint32_t expected = 0;
  if (atomic_compare_exchange_strong_explicit(lock, &expected, 1, memory_order_acquire, memory_order_relaxed)) return;
  for (int turn = 0; turn < 64; turn++) {
    expected = 0;
    if (atomic_load_explicit(lock, memory_order_relaxed) == 0 &&
        atomic_compare_exchange_weak_explicit(lock, &expected, 1, memory_order_acquire, memory_order_relaxed))
      return;
  }
#ifdef __linux__
  int saved = errno;
  while (atomic_exchange_explicit(lock, 2, memory_order_acquire) != 0)
    syscall(SYS_futex, lock, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
  errno = saved;
#else
  while (atomic_exchange_explicit(lock, 1, memory_order_acquire) != 0) sched_yield();
#endif
}

void leakprofile_unlock(_Atomic uint32_t *lock) {
#ifdef __linux__
  if (atomic_exchange_explicit(lock, 0, memory_order_release) == 2) {
    int saved = errno;
    syscall(SYS_futex, lock, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    errno = saved;
  }
#else
  atomic_store_explicit(lock, 0, memory_order_release);
#endif
}

// MARK: fork

/// Gives back what belongs to the parent. Safe after fork(2) in a process that had threads.
static void leave_parents_table(void) {
  if (inherited.address == NULL || inherited.pid == getpid()) return;
  munmap(inherited.address, inherited.size);
  struct stat found;
  // It may have been closed with all others, and its number taken by something else.
  if (inherited.descriptor >= 0 && fstat(inherited.descriptor, &found) == 0 && found.st_ino == inherited.inode &&
      found.st_dev == inherited.device)
    close(inherited.descriptor);
  inherited.address = NULL;
  inherited.descriptor = -1;
}

static void after_fork_in_child(void) {
  struct core *core = atomic_load(&core_pointer);
  // Kernels before 4.14, and others.
  if (core != NULL && !inherited.is_wiped_by_kernel) memset((void *)core, 0, sizeof *core);
  leave_parents_table();
}

struct core *leakprofile_core(void) {
  struct core *core = atomic_load_explicit(&core_pointer, memory_order_acquire);
  if (core != NULL) return core;
  core = mmap(NULL, sizeof *core, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (core == MAP_FAILED) return NULL;
  bool wiped = false;
#ifdef MADV_WIPEONFORK
  wiped = madvise(core, sizeof *core, MADV_WIPEONFORK) == 0;
#endif
  struct core *other = NULL;
  if (atomic_compare_exchange_strong(&core_pointer, &other, core)) {
    inherited.is_wiped_by_kernel = wiped;
    inherited.descriptor = -1;
    pthread_atfork(NULL, NULL, after_fork_in_child);
    return core;
  }
  munmap(core, sizeof *core);
  return other;
}

// MARK: The table

/// Maps `size` bytes of a sealed memfd. NULL where that cannot be.
static void *map_exported(size_t size, int *descriptor) {
  *descriptor = -1;
#if defined(__linux__) && defined(SYS_memfd_create)
  struct rlimit limit;
  // Beyond it ftruncate would end the process by a signal.
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < size) return NULL;
  // MFD_CLOEXEC, MFD_ALLOW_SEALING, and since Linux 6.3 MFD_NOEXEC_SEAL, without which some systems refuse it.
  int number = (int)syscall(SYS_memfd_create, "leakprofile", 11U);
  if (number < 0 && errno == EINVAL) number = (int)syscall(SYS_memfd_create, "leakprofile", 3U);
  if (number < 0) return NULL;
  // Not in the place of a standard stream that the program has closed: it will open another there.
  if (number < 3) {
    int higher = fcntl(number, F_DUPFD_CLOEXEC, 3);
    close(number);
    if (higher < 0) return NULL;
    number = higher;
  }
  void *address = MAP_FAILED;
  struct stat found;
  if (ftruncate(number, (off_t)size) == 0 && fcntl(number, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0 &&
      fstat(number, &found) == 0)
    address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, number, 0);
  if (address == MAP_FAILED) {
    close(number);
    return NULL;
  }
  // Since Linux 5.1: whoever opens it from now on only reads, whatever he may.
  fcntl(number, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
  fcntl(number, F_ADD_SEALS, F_SEAL_SEAL);
  inherited.device = found.st_dev;
  inherited.inode = found.st_ino;
  *descriptor = number;
  return address;
#else
  return NULL;
#endif
}

static uint64_t nanoseconds_since_1970(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static void write_name(struct header *table, int profile) {
  struct profile_record *record = leakprofile_record(table, profile);
  memcpy(record->name, names[profile], sizeof record->name);
  atomic_store_explicit(&record->state, 1, memory_order_release);
}

static struct header *make_table(struct core *core) {
  leave_parents_table();
  size_t size = table_bytes;
  int descriptor;
  void *address = map_exported(size, &descriptor);
  if (address == NULL) {
    // In the middle of a fork's copy it would be memory of both, were it shared.
    address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (address == MAP_FAILED) return NULL;
  }
  inherited.address = address;
  inherited.size = size;
  inherited.descriptor = core->descriptor = descriptor;
  inherited.pid = getpid();

  struct header *table = address;
  table->version = 1;
  table->pid = (uint32_t)getpid();
  table->size = size;
  table->started = nanoseconds_since_1970();
  table->profiles = page;
  table->profile_size = sizeof(struct profile_record);
  table->profile_capacity = LEAKPROFILE_MOST_PROFILES;
  table->stacks = page + sizeof(struct profile_record) * LEAKPROFILE_MOST_PROFILES;
  table->entries = table->stacks + ((size - table->stacks) / 4) / page * page;
  table->stacks_size = table->entries - table->stacks;
  table->entry_size = sizeof(struct entry);
  table->entry_capacity = (uint32_t)((size - table->entries) / sizeof(struct entry));
  // Number 1 is the stack of those that have none: with depth 0, as the memory already says.
  atomic_store_explicit(&table->stacks_used, 8 + sizeof(struct stack), memory_order_relaxed);
  int count = (int)atomic_load_explicit(&leakprofile_profile_count, memory_order_acquire);
  for (int profile = 0; profile < count; profile++) write_name(table, profile);
  atomic_store_explicit(&table->profile_count, (uint32_t)count, memory_order_release);
  // Last: what has no magic is not read.
  uint64_t magic;
  memcpy(&magic, "LEAKPROF", sizeof magic);
  atomic_store_explicit(&table->magic, magic, memory_order_release);
  return table;
}

struct header *leakprofile_table(struct core *core) {
  struct header *table = atomic_load_explicit(&core->table, memory_order_acquire);
  if (table != NULL) return table;
  leakprofile_lock(&core->lock);
  table = atomic_load_explicit(&core->table, memory_order_relaxed);
  if (table == NULL) {
    int saved = errno;
    table = make_table(core);
    errno = saved;
    atomic_store_explicit(&core->table, table, memory_order_release);
  }
  leakprofile_unlock(&core->lock);
  return table;
}

int leakprofile_configure(size_t bytes) {
  if (bytes < 64 << 10 || bytes > 1 << 30) return -EINVAL;
  struct core *core = leakprofile_core();
  if (core == NULL) return -ENOMEM;
  leakprofile_lock(&core->lock);
  int result = atomic_load_explicit(&core->table, memory_order_relaxed) == NULL ? 0 : -EBUSY;
  if (result == 0) table_bytes = (bytes + page - 1) / page * page;
  leakprofile_unlock(&core->lock);
  return result;
}

int leakprofile_descriptor(void) {
  struct core *core = atomic_load_explicit(&core_pointer, memory_order_acquire);
  return core != NULL && atomic_load_explicit(&core->table, memory_order_acquire) != NULL ? core->descriptor : -1;
}

// MARK: Profiles

int leakprofile_find(const char *name) {
  int count = (int)atomic_load_explicit(&leakprofile_profile_count, memory_order_acquire);
  for (int profile = 0; profile < count; profile++)
    if (strcmp(names[profile], name) == 0) return profile;
  return -ENOENT;
}

const char *leakprofile_name(int profile) {
  int count = (int)atomic_load_explicit(&leakprofile_profile_count, memory_order_acquire);
  return profile >= 0 && profile < count ? names[profile] : NULL;
}

int leakprofile_new(const char *name) {
  if (name == NULL || *name == 0 || strlen(name) > LEAKPROFILE_LONGEST_NAME) return -EINVAL;
  for (const char *c = name; *c; c++)
    if ((unsigned char)*c < ' ' || *c == 0x7f) return -EINVAL;
  struct core *core = leakprofile_core();
  if (core == NULL) return -ENOMEM;
  leakprofile_lock(&core->lock);
  int profile = leakprofile_find(name) >= 0 ? -EEXIST : (int)atomic_load(&leakprofile_profile_count);
  if (profile >= LEAKPROFILE_MOST_PROFILES) profile = -ENOSPC;
  if (profile >= 0) {
    strcpy(names[profile], name);
    __atomic_store_n(&leakprofile_every[profile], 1, __ATOMIC_RELAXED);
    atomic_store_explicit(&leakprofile_profile_count, (uint32_t)profile + 1, memory_order_release);
    struct header *table = atomic_load_explicit(&core->table, memory_order_relaxed);
    if (table != NULL) {
      write_name(table, profile);
      atomic_store_explicit(&table->profile_count, (uint32_t)profile + 1, memory_order_release);
    }
  }
  leakprofile_unlock(&core->lock);
  return profile;
}

void leakprofile_lost(int profile, uint64_t *values, uint64_t *stacks) {
  struct core *core = atomic_load_explicit(&core_pointer, memory_order_acquire);
  struct header *table = core == NULL ? NULL : atomic_load_explicit(&core->table, memory_order_acquire);
  bool known = table != NULL && leakprofile_name(profile) != NULL;
  *values = known ? atomic_load(&leakprofile_record(table, profile)->lost_values) : 0;
  *stacks = known ? atomic_load(&table->lost_stacks) : 0;
}
