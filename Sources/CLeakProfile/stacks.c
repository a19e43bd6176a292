// SPDX-License-Identifier: Apache-2.0
// Taking a stack, and keeping each distinct one once.
//
// Frame pointers are followed, which takes some 2 ns a frame where the unwinder takes 100 and more. Whether the code
// between keeps them is found out where a stack is first seen: then both ways are gone and compared, and a caller whose
// frames are not told by frame pointers is unwound from then on.

#include "table.h"

#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <unwind.h>

#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
extern void *__libc_stack_end __attribute__((weak));
#endif

// MARK: Where the stack of this thread lies

static _Thread_local uintptr_t stack_low, stack_high;

static void find_stack(void) {
  // Nothing is followed where nothing is known.
  stack_low = stack_high = 1;
#if defined(__linux__) && defined(__GLIBC__)
  // pthread_getattr_np would read a file for the main thread, and at EMFILE fail.
  if (&__libc_stack_end != NULL && getpid() == (pid_t)syscall(SYS_gettid)) {
    struct rlimit limit;
    size_t most = 64 << 20;
    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < most) most = limit.rlim_cur;
    stack_high = (uintptr_t)__libc_stack_end;
    stack_low = stack_high - most;
    return;
  }
#endif
#ifdef __linux__
  pthread_attr_t attributes;
  void *address;
  size_t size;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return;
  if (pthread_attr_getstack(&attributes, &address, &size) == 0) {
    stack_low = (uintptr_t)address;
    stack_high = stack_low + size;
  }
  pthread_attr_destroy(&attributes);
#elif defined(__APPLE__)
  stack_high = (uintptr_t)pthread_get_stackaddr_np(pthread_self());
  stack_low = stack_high - pthread_get_stacksize_np(pthread_self());
#endif
}

// MARK: Following frame pointers

static inline uint64_t call_site(uintptr_t return_address) {
#ifdef __aarch64__
  // Without the signature of pointer authentication.
  register uintptr_t link __asm__("x30") = return_address;
  __asm__("hint #7" : "+r"(link));
  return_address = link;
#endif
  // Within the call, and not after it, as in pprof.
  return return_address - 1;
}

/// Reading another function's frame is what sanitizers warn of.
#if defined(__clang__) || defined(__GNUC__)
#define UNCHECKED __attribute__((no_sanitize_address))
#else
#define UNCHECKED
#endif

UNCHECKED static int follow(void *frame, uint64_t *frames, int most, int skip) {
  uintptr_t here = (uintptr_t)frame, high = stack_high;
  if (stack_high == 0) {
    find_stack();
    high = stack_high;
  }
  // On another stack than the thread's own, as coroutines and signal handlers may be, nothing is known to be mapped.
  if (here < stack_low) return 0;
  int depth = 0;
  while (here % sizeof(uintptr_t) == 0 && here <= high - 2 * sizeof(uintptr_t) && here < high) {
    const uintptr_t *pair = (const uintptr_t *)here;
    uintptr_t return_address = pair[1];
    // The zero page: no code. An outermost frame has 0.
    if (return_address < page) break;
    if (skip > 0) {
      skip--;
    } else {
      frames[depth++] = call_site(return_address);
      if (depth == most) break;
    }
    // Swift marks the frames of asynchronous functions by bit 60.
    uintptr_t next = pair[0] & ~((uintptr_t)1 << 60);
    if (next <= here) break;
    here = next;
  }
  return depth;
}

// MARK: Unwinding

struct unwinding {
  uint64_t *frames;
  int depth, most;
  /// The first frame that counts; what is before it is our own.
  uint64_t first;
  bool has_begun;
};

static _Unwind_Reason_Code unwound(struct _Unwind_Context *context, void *argument) {
  struct unwinding *state = argument;
  uint64_t address = call_site((uintptr_t)_Unwind_GetIP(context));
  if (!state->has_begun && address != state->first) return _URC_NO_REASON;
  state->has_begun = true;
  if (address + 1 < page) return _URC_END_OF_STACK;
  state->frames[state->depth++] = address;
  return state->depth == state->most ? _URC_END_OF_STACK : _URC_NO_REASON;
}

int leakprofile_unwind(uint64_t *frames, int most, uint64_t first) {
  struct unwinding state = {frames, 0, most, first, false};
  _Unwind_Backtrace(unwound, &state);
  return state.depth;
}

// Callers whose frame pointers do not tell. One that is overwritten here is found out again.
static _Atomic uint64_t unreliable[256];

static inline _Atomic uint64_t *reliability(uint64_t caller) { return &unreliable[(caller * 0x9e3779b97f4a7c15ULL) >> 56]; }

/// Whether what frame pointers told is what the unwinder tells, but for the C library's frames at the root, which are
/// commonly without them.
static bool is_confirmed(const uint64_t *frames, int depth, const uint64_t *unwound, int unwound_depth) {
  int common = depth < unwound_depth ? depth : unwound_depth;
  for (int i = 0; i < common; i++)
    if (frames[i] != unwound[i]) return false;
  // Sixteen frames are as good as all.
  return depth + 3 >= unwound_depth || depth >= 16;
}

// MARK: Keeping them

static inline uint32_t hash_of(const uint64_t *frames, int depth) {
  uint64_t hash = (uint64_t)depth;
  for (int i = 0; i < depth; i++) hash = (hash ^ frames[i]) * 0x9e3779b97f4a7c15ULL;
  return (uint32_t)(leakprofile_mix(hash) >> 32);
}

static inline struct stack *stack_at(struct header *table, uint32_t number) {
  return (struct stack *)((char *)table + table->stacks + (uint64_t)number * 8);
}

static uint32_t search(struct header *table, uint32_t number, uint32_t end, const uint64_t *frames, int depth,
                       uint32_t hash) {
  while (number != end) {
    struct stack *stack = stack_at(table, number);
    if (stack->hash == hash && stack->depth == (uint32_t)depth &&
        memcmp(stack->frames, frames, (size_t)depth * sizeof *frames) == 0)
      return number;
    number = atomic_load_explicit(&stack->next, memory_order_relaxed);
  }
  return end;
}

static uint32_t insert(struct header *table, _Atomic uint32_t *bucket, uint32_t searched, const uint64_t *frames,
                       int depth, uint32_t hash) {
  size_t bytes = sizeof(struct stack) + (size_t)depth * sizeof *frames;
  uint64_t at = atomic_load_explicit(&table->stacks_used, memory_order_relaxed);
  do {
    if (at + bytes > table->stacks_size) {
      atomic_fetch_add_explicit(&table->lost_stacks, 1, memory_order_relaxed);
      return 1;
    }
  } while (!atomic_compare_exchange_weak_explicit(&table->stacks_used, &at, at + bytes, memory_order_relaxed,
                                                  memory_order_relaxed));
  uint32_t number = (uint32_t)(at / 8);
  struct stack *stack = stack_at(table, number);
  stack->hash = hash;
  stack->depth = (uint32_t)depth;
  memcpy(stack->frames, frames, (size_t)depth * sizeof *frames);
  uint32_t head = searched;
  for (;;) {
    atomic_store_explicit(&stack->next, head, memory_order_relaxed);
    if (atomic_compare_exchange_weak_explicit(bucket, &head, number, memory_order_release, memory_order_acquire))
      return number;
    // Another thread was first, perhaps with the same: then what was taken here is not used.
    uint32_t found = search(table, head, searched, frames, depth, hash);
    if (found != searched) return found;
    searched = head;
  }
}

uint32_t leakprofile_stack(struct core *core, struct header *table, void *frame, int skip) {
  uint64_t frames[LEAKPROFILE_MOST_FRAMES];
  uint64_t caller = call_site(((const uintptr_t *)frame)[1]);
  int depth = 0;
  bool is_unreliable = atomic_load_explicit(reliability(caller), memory_order_relaxed) == caller;
  if (!is_unreliable) {
    depth = follow(frame, frames, LEAKPROFILE_MOST_FRAMES, skip);
    if (depth > 0) {
      uint32_t hash = hash_of(frames, depth);
      _Atomic uint32_t *bucket = &core->buckets[hash % stack_buckets];
      uint32_t head = atomic_load_explicit(bucket, memory_order_acquire);
      uint32_t found = search(table, head, 0, frames, depth, hash);
      if (found != 0) return found;
    }
  }
  uint64_t unwound[LEAKPROFILE_MOST_FRAMES * 2];
  int most = LEAKPROFILE_MOST_FRAMES + (skip < LEAKPROFILE_MOST_FRAMES ? skip : LEAKPROFILE_MOST_FRAMES);
  int unwound_depth = leakprofile_unwind(unwound, most, caller) - skip;
  const uint64_t *best = unwound + skip;
  if (unwound_depth <= 0 || (depth > 0 && is_confirmed(frames, depth, best, unwound_depth))) {
    best = frames;
  } else {
    if (!is_unreliable) atomic_store_explicit(reliability(caller), caller, memory_order_relaxed);
    depth = unwound_depth;
  }
  // Where neither tells anything, as with a `skip` beyond the root.
  if (depth <= 0) return 1;
  uint32_t hash = hash_of(best, depth);
  _Atomic uint32_t *bucket = &core->buckets[hash % stack_buckets];
  uint32_t head = atomic_load_explicit(bucket, memory_order_acquire);
  uint32_t found = search(table, head, 0, best, depth, hash);
  return found != 0 ? found : insert(table, bucket, head, best, depth, hash);
}

const uint64_t *leakprofile_frames(struct header *table, uint32_t number, int *depth) {
  *depth = 0;
  if ((uint64_t)number * 8 + sizeof(struct stack) > table->stacks_size) return NULL;
  struct stack *stack = stack_at(table, number);
  if (stack->depth > LEAKPROFILE_MOST_FRAMES) return NULL;
  *depth = (int)stack->depth;
  return stack->frames;
}
