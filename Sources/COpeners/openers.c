// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE

#include "COpeners.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bpf/calls.h"
#include "bpf/record.h"

const char *fdwatch_openers_call(uint32_t number) {
  switch (number) {
#define NAME(number, name, kind) \
  case number: return #name;
    FDWATCH_CALLS(NAME)
#undef NAME
  default: return NULL;
  }
}

size_t fdwatch_openers_record_head(void) { return offsetof(struct fdwatch_record, stack); }
size_t fdwatch_openers_record_size(void) { return sizeof(struct fdwatch_record); }
uint32_t fdwatch_openers_most_descriptors(void) { return FDWATCH_MOST_DESCRIPTORS; }

#if defined(__x86_64__)

#if !__has_include(<bpf/skel_internal.h>)
#error "libbpf's headers are missing. Install them: apt-get install libbpf-dev"
#endif
#include "bpf/openers.lskel.h"

// Of a record in the ring, before it.
enum { RECORD_HEADER = 8 };
static const uint32_t RECORD_BUSY = 1u << 31, RECORD_DISCARDED = 1u << 30;

struct fdwatch_openers {
  struct openers *skeleton;
  // The ring's page that we write, and those that the kernel writes: its position, then the data, twice in a row.
  _Atomic uint64_t *consumed;
  const _Atomic uint64_t *produced;
  const uint8_t *data;
  size_t page;
  const struct fdwatch_opening *latest;
};

static void *map(int number, size_t bytes, int protection, off_t offset) {
  void *found = mmap(NULL, bytes, protection, MAP_SHARED, number, offset);
  return found == MAP_FAILED ? NULL : found;
}

fdwatch_openers *fdwatch_openers_load(const fdwatch_openers_target *target, fdwatch_openers_step *step) {
  *step = FDWATCH_OPENERS_LOADING;
  fdwatch_openers *openers = calloc(1, sizeof *openers);
  if (!openers) return NULL;
  struct openers *skeleton = openers->skeleton = openers__open();
  int error = skeleton ? 0 : ENOMEM;
  if (skeleton) {
    skeleton->rodata->wanted = target->pid;
    skeleton->rodata->namespace_inode = target->namespace_inode;
    // As the kernel writes a device, which stat(2) does not.
    skeleton->rodata->namespace_device = (uint64_t)target->namespace_major << 20 | target->namespace_minor;
    skeleton->rodata->main_stack = target->main_stack;
    error = -openers__load(skeleton);
  }
  if (error == 0) {
    *step = FDWATCH_OPENERS_MAPPING;
    openers->page = (size_t)sysconf(_SC_PAGESIZE);
    int ring = skeleton->maps.ring.map_fd;
    openers->consumed = map(ring, openers->page, PROT_READ | PROT_WRITE, 0);
    openers->produced = map(ring, openers->page + 2 * (size_t)FDWATCH_RING_BYTES, PROT_READ, (off_t)openers->page);
    openers->data = openers->produced ? (const uint8_t *)openers->produced + openers->page : NULL;
    openers->latest =
        map(skeleton->maps.latest.map_fd, FDWATCH_MOST_DESCRIPTORS * sizeof *openers->latest, PROT_READ, 0);
    if (!openers->consumed || !openers->produced || !openers->latest) error = errno;
  }
  if (error == 0) return openers;
  fdwatch_openers_free(openers);
  errno = error;
  return NULL;
}

void fdwatch_openers_add_code(fdwatch_openers *openers, uint64_t start, uint64_t limit) {
  if (start >= limit) return;
  uint64_t first = start >> 16, last = (limit - 1) >> 16;
  if (last - first >= FDWATCH_TEXT_BLOCKS) last = first + FDWATCH_TEXT_BLOCKS - 1;
  for (uint64_t block = first; block <= last; block++) {
    uint64_t bit = block & (FDWATCH_TEXT_BLOCKS - 1);
    openers->skeleton->bss->text[bit >> 3] |= (uint8_t)(1u << (bit & 7));
  }
}

int fdwatch_openers_attach(fdwatch_openers *openers) {
  int result = openers__attach(openers->skeleton);
  if (result >= 0) return 0;
  errno = -result;
  return -1;
}

void fdwatch_openers_detach(fdwatch_openers *openers) { openers__detach(openers->skeleton); }

void fdwatch_openers_free(fdwatch_openers *openers) {
  if (!openers) return;
  if (openers->consumed) munmap((void *)openers->consumed, openers->page);
  if (openers->produced) munmap((void *)openers->produced, openers->page + 2 * (size_t)FDWATCH_RING_BYTES);
  if (openers->latest) munmap((void *)openers->latest, FDWATCH_MOST_DESCRIPTORS * sizeof *openers->latest);
  if (openers->skeleton) openers__destroy(openers->skeleton);
  free(openers);
}

void fdwatch_openers_read_counts(const fdwatch_openers *openers, fdwatch_openers_counts *counts) {
  volatile struct openers__bss *bss = openers->skeleton->bss;
  *counts = (fdwatch_openers_counts){bss->openings, bss->copies, bss->lost, bss->beyond, bss->foreign, bss->replaced};
}

size_t fdwatch_openers_next(fdwatch_openers *openers, uint8_t *bytes, size_t room) {
  for (;;) {
    uint64_t at = atomic_load_explicit(openers->consumed, memory_order_relaxed);
    if (at >= atomic_load_explicit(openers->produced, memory_order_acquire)) return 0;
    const uint8_t *place = openers->data + (at & (FDWATCH_RING_BYTES - 1));
    uint32_t length = atomic_load_explicit((const _Atomic uint32_t *)place, memory_order_acquire);
    if (length & RECORD_BUSY) return 0;
    int is_discarded = (length & RECORD_DISCARDED) != 0;
    length &= ~(RECORD_BUSY | RECORD_DISCARDED);
    // The kernel's word, but a wrong one must not lead beyond the ring.
    if (length > FDWATCH_RING_BYTES - RECORD_HEADER) return 0;
    size_t size = length < room ? length : room;
    if (!is_discarded) memcpy(bytes, place + RECORD_HEADER, size);
    atomic_store_explicit(
        openers->consumed, at + ((length + RECORD_HEADER + 7) & ~UINT64_C(7)), memory_order_release);
    if (!is_discarded && size > 0) return size;
  }
}

void fdwatch_openers_latest(
    const fdwatch_openers *openers, uint32_t descriptor, uint64_t *time, uint64_t *fingerprint) {
  *time = *fingerprint = 0;
  if (descriptor >= FDWATCH_MOST_DESCRIPTORS) return;
  const volatile struct fdwatch_opening *opening = &openers->latest[descriptor];
  // It may be written meanwhile: what is read must be of one time.
  for (int attempt = 0; attempt < 100; attempt++) {
    *time = opening->time;
    *fingerprint = opening->fingerprint;
    if (opening->time == *time && opening->fingerprint == *fingerprint) return;
  }
  *time = *fingerprint = 0;
}

void fdwatch_openers_forget(fdwatch_openers *openers, uint64_t fingerprint) {
  skel_map_delete_elem(openers->skeleton->maps.known.map_fd, &fingerprint);
}

#else

fdwatch_openers *fdwatch_openers_load(const fdwatch_openers_target *target, fdwatch_openers_step *step) {
  (void)target;
  *step = FDWATCH_OPENERS_MACHINE;
  errno = ENOSYS;
  return NULL;
}
void fdwatch_openers_add_code(fdwatch_openers *o, uint64_t start, uint64_t limit) { (void)o, (void)start, (void)limit; }
int fdwatch_openers_attach(fdwatch_openers *o) { (void)o; errno = ENOSYS; return -1; }
void fdwatch_openers_detach(fdwatch_openers *o) { (void)o; }
void fdwatch_openers_free(fdwatch_openers *o) { (void)o; }
void fdwatch_openers_read_counts(const fdwatch_openers *o, fdwatch_openers_counts *counts) {
  (void)o;
  *counts = (fdwatch_openers_counts){0};
}
size_t fdwatch_openers_next(fdwatch_openers *o, uint8_t *bytes, size_t room) { (void)o, (void)bytes, (void)room; return 0; }
void fdwatch_openers_latest(const fdwatch_openers *o, uint32_t descriptor, uint64_t *time, uint64_t *fingerprint) {
  (void)o, (void)descriptor;
  *time = *fingerprint = 0;
}
void fdwatch_openers_forget(fdwatch_openers *o, uint64_t fingerprint) { (void)o, (void)fingerprint; }

#endif
