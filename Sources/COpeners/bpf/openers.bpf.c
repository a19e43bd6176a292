// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// In the kernel, at the end of each system call: which code opened the descriptors of one process. Dual-licensed, for the
// kernel lends its helpers to programs under the GPL only.
//
// An opening is kept as (time, fingerprint of the stack) under its number; registers and stack are copied once for each
// fingerprint. `make openers-skeleton` makes openers.lskel.h from this.

#include <linux/bpf.h>
#include <asm/ptrace.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "calls.h"
#include "record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/// Read by name from the running kernel's types, wherever they lie there.
struct thread_struct {
  unsigned long fsbase;
} __attribute__((preserve_access_index));
struct task_struct {
  struct thread_struct thread;
} __attribute__((preserve_access_index));

enum {
  // 64 named an innocent caller, where a function has a buffer of 3,000 bytes; 512 did not.
  WORDS = 512,
  // Above 4 KiB two stacks may still differ: one of so many openings is copied again, and compared by the loader.
  RECHECK = 64,
  // A stack is below its thread's base by no more, or it is a coroutine's.
  FARTHEST = 64 << 20,
  USER_CODE_SEGMENT = 0x33,
};

// Set before it is loaded.
const volatile __u32 wanted = 0;
// Where the process is in another pid namespace than the first: `wanted` is its number there.
const volatile __u64 namespace_device = 0, namespace_inode = 0;
/// The end of the first thread's stack.
const volatile __u64 main_stack = 0;

const __u8 kinds[512] = {
#define KIND(number, name, kind) [number] = FDWATCH_CALL_##kind,
    FDWATCH_CALLS(KIND)
#undef KIND
};

// Set, and added to, while it runs.
__u8 text[FDWATCH_TEXT_BLOCKS / 8];

// Counts, for the loader.
__u64 openings, copies, lost, beyond, foreign, replaced;

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, FDWATCH_RING_BYTES);
} ring SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, FDWATCH_MOST_DESCRIPTORS);
  __type(key, __u32);
  __type(value, struct fdwatch_opening);
  __uint(map_flags, BPF_F_MMAPABLE);
} latest SEC(".maps");

/// Fingerprints that were copied, and how often they were seen since. One that is pushed out is copied again.
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 8192);
  __type(key, __u64);
  __type(value, __u64);
} known SEC(".maps");

struct words {
  __u64 word[WORDS];
};
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct words);
} scratch SEC(".maps");

#define KERNEL(to, from) bpf_probe_read_kernel(&(to), sizeof(to), &(from))
#define MIX(hash, value) \
  do { \
    (hash) = ((hash) ^ (value)) * 0x100000001B3ULL; \
    (hash) ^= (hash) >> 29; \
  } while (0)

static __always_inline int is_wanted(__u64 id) {
  if (!namespace_inode) return id >> 32 == wanted;
  struct bpf_pidns_info info;
  return bpf_get_ns_current_pid_tgid(namespace_device, namespace_inode, &info, sizeof info) == 0 && info.tgid == wanted;
}

static __always_inline void note(__u32 number, __u64 time, __u64 fingerprint) {
  struct fdwatch_opening *opening = bpf_map_lookup_elem(&latest, &number);
  if (!opening) return;
  opening->fingerprint = fingerprint;
  opening->time = time;
}

struct range {
  __u64 time;
  __u32 first;
};

static long note_closed(__u32 index, void *context) {
  struct range *range = context;
  note(range->first + index, range->time, 0);
  return 0;
}

static __always_inline void close_range(struct pt_regs *registers, __u64 time) {
  __u64 first, last, flags;
  KERNEL(first, registers->rdi);
  KERNEL(last, registers->rsi);
  KERNEL(flags, registers->rdx);
  // CLOSE_RANGE_CLOEXEC: they are closed later, if ever.
  if (flags & 4) return;
  struct range range = {.time = time, .first = (__u32)first};
  if ((__u32)last >= FDWATCH_MOST_DESCRIPTORS) last = FDWATCH_MOST_DESCRIPTORS - 1;
  if (range.first > (__u32)last) return;
  bpf_loop((__u32)last - range.first + 1, note_closed, &range, 0);
}

// What the return addresses on the stack come to, and where they are; `in` may be in the process's code.
static __always_inline __u64 fingerprint(__u64 hash, __u64 sp, struct words *words) {
  __u32 count = WORDS;
  if (bpf_probe_read_user(words->word, sizeof words->word, (void *)sp)) {
    // Near the end of the stack: to the end of its page.
    __u32 bytes = (FDWATCH_PAGE - (sp & (FDWATCH_PAGE - 1))) & (FDWATCH_PAGE - 1);
    count = bpf_probe_read_user(words->word, bytes, (void *)sp) ? 0 : bytes / 8;
  }
#pragma clang loop unroll(disable)
  for (__u32 index = 0; index < WORDS; index++) {
    if (index >= count) break;
    __u64 word = words->word[index];
    int in = 0;
    if (!(word >> 47) && word >> 16) {
      __u32 block = (word >> 16) & (FDWATCH_TEXT_BLOCKS - 1);
      in = text[block >> 3] >> (block & 7) & 1;
    }
    if (in) MIX(hash, word ^ index);
  }
  return hash ? hash : 1;
}

static __always_inline void copy(
    struct pt_regs *registers, __u64 sp, __u64 time, __u64 id, __u32 call, __u64 hash, int is_first) {
  struct fdwatch_record *record = bpf_ringbuf_reserve(&ring, sizeof *record, 0);
  if (!record) {
    // One that is only checked again is checked another time.
    if (is_first) __sync_fetch_and_add(&lost, 1);
    return;
  }
  __u64 one = 1;
  bpf_map_update_elem(&known, &hash, &one, BPF_NOEXIST);
  __sync_fetch_and_add(&copies, 1);
  record->time = time;
  record->fingerprint = hash;
  record->thread = (__u32)id;
  record->call = call;
  record->padding = 0;
  bpf_probe_read_kernel(record->registers, sizeof record->registers, registers);
  __u32 bytes = FDWATCH_PAGE - (sp & (FDWATCH_PAGE - 1));
  if (bytes > FDWATCH_PAGE) bytes = FDWATCH_PAGE;
  record->stack_bytes = 0;
  if (bpf_probe_read_user(record->stack, bytes, (void *)sp) == 0) {
    for (int page = 1; page < FDWATCH_STACK_PAGES; page++) {
      // Keeps the compiler from turning sums into what the verifier cannot bound.
      barrier_var(bytes);
      if (bytes > (FDWATCH_STACK_PAGES - 1) * FDWATCH_PAGE) break;
      if (bpf_probe_read_user(record->stack + bytes, FDWATCH_PAGE, (void *)(sp + bytes))) break;
      bytes += FDWATCH_PAGE;
    }
    record->stack_bytes = bytes;
  }
  bpf_ringbuf_submit(record, 0);
}

SEC("raw_tp/sys_exit")
int at_exit(struct bpf_raw_tracepoint_args *context) {
  __u64 id = bpf_get_current_pid_tgid();
  if (!is_wanted(id)) return 0;
  long result = context->args[1];
  struct pt_regs *registers = (void *)context->args[0];
  __u64 number = 0, first, second, segment;
  KERNEL(number, registers->orig_rax);
  if (number >= sizeof kinds) return 0;
  __u8 kind = kinds[number];
  if (kind == FDWATCH_CALL_OTHER) return 0;
  // -1 to -4095; a close that fails has closed nonetheless, but for EBADF.
  if (result < 0 && (kind != FDWATCH_CALL_CLOSE || result == -9)) return 0;
  KERNEL(segment, registers->cs);
  if (segment != USER_CODE_SEGMENT) {
    // The numbers are those of 32 bits.
    __sync_fetch_and_add(&foreign, 1);
    return 0;
  }
  KERNEL(first, registers->rdi);
  KERNEL(second, registers->rsi);
  __u64 time = bpf_ktime_get_ns();
  int pair[2] = {(int)result, -1};
  switch (kind) {
  case FDWATCH_CALL_CLOSE: note((__u32)first, time, 0); return 0;
  case FDWATCH_CALL_CLOSE_RANGE: close_range(registers, time); return 0;
  case FDWATCH_CALL_EXEC: replaced = time; return 0;
  case FDWATCH_CALL_FCNTL:
    // F_DUPFD, F_DUPFD_CLOEXEC; only 32 bits of an int count.
    if ((__u32)second != 0 && (__u32)second != 1030) return 0;
    break;
  case FDWATCH_CALL_DUP2:
    if ((__u32)first == (__u32)second) return 0;
    break;
  case FDWATCH_CALL_SIGNALFD:
    if ((__u32)first != (__u32)-1) return 0;
    break;
  case FDWATCH_CALL_BPF: {
    // MAP_CREATE, PROG_LOAD, OBJ_GET, *_GET_FD_BY_ID, RAW_TRACEPOINT_OPEN, BTF_LOAD, LINK_CREATE, ENABLE_STATS, ITER_CREATE,
    // TOKEN_CREATE.
    const __u64 commands = 1ULL << 0 | 1ULL << 5 | 1ULL << 7 | 1ULL << 13 | 1ULL << 14 | 1ULL << 17 | 1ULL << 18 |
                           1ULL << 19 | 1ULL << 28 | 1ULL << 30 | 1ULL << 32 | 1ULL << 33 | 1ULL << 36;
    if ((__u32)first > 63 || !(commands >> (first & 63) & 1)) return 0;
    break;
  }
  case FDWATCH_CALL_PIPE:
    if (bpf_probe_read_user(pair, sizeof pair, (void *)first)) return 0;
    break;
  case FDWATCH_CALL_SOCKETPAIR:
    KERNEL(first, registers->r10);
    if (bpf_probe_read_user(pair, sizeof pair, (void *)first)) return 0;
    break;
  }
  __sync_fetch_and_add(&openings, 1);
  __u32 zero = 0;
  struct words *words = bpf_map_lookup_elem(&scratch, &zero);
  if (!words) return 0;
  __u64 sp, ip, base = 0, hash = number;
  KERNEL(sp, registers->rsp);
  KERNEL(ip, registers->rip);
  struct task_struct *task = (void *)bpf_get_current_task();
  bpf_core_read(&base, sizeof base, &task->thread.fsbase);
  MIX(hash, ip);
  // How deep the stack is tells more than the words do. Of a coroutine it would tell only where that lies.
  if (base - sp < FARTHEST) MIX(hash, base - sp);
  if (main_stack - sp < FARTHEST) MIX(hash, main_stack - sp);
  hash = fingerprint(hash, sp, words);
  for (int index = 0; index < 2; index++) {
    if (pair[index] >= FDWATCH_MOST_DESCRIPTORS) __sync_fetch_and_add(&beyond, 1);
    note((__u32)pair[index], time, hash);
  }
  __u64 *seen = bpf_map_lookup_elem(&known, &hash);
  if (seen && __sync_fetch_and_add(seen, 1) % RECHECK != 0) return 0;
  copy(registers, sp, time, id, (__u32)number, hash, !seen);
  return 0;
}
