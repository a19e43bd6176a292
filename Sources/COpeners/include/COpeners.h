// SPDX-License-Identifier: Apache-2.0
// The program in the kernel that sees one process open and close descriptors: loaded, attached, and read. It speaks
// bpf(2) and nothing else: no libbpf, no tracefs, no perf_event_open(2).

#ifndef FDWATCH_COPENERS_H
#define FDWATCH_COPENERS_H

#include <stddef.h>
#include <stdint.h>

typedef struct fdwatch_openers fdwatch_openers;

typedef struct {
  /// Of the process, in the namespace below, or in the first one where that has the inode 0.
  uint32_t pid;
  /// Of /proc/PID/ns/pid.
  uint32_t namespace_major;
  uint32_t namespace_minor;
  uint64_t namespace_inode;
  /// The end of the stack of its first thread, or 0.
  uint64_t main_stack;
} fdwatch_openers_target;

/// What stopped an attempt to attach.
typedef enum {
  FDWATCH_OPENERS_LOADING = 1,
  FDWATCH_OPENERS_MAPPING,
  FDWATCH_OPENERS_ATTACHING,
  /// Not a machine that this was built for.
  FDWATCH_OPENERS_MACHINE,
} fdwatch_openers_step;

typedef struct {
  uint64_t openings;
  uint64_t copies;
  uint64_t lost;
  /// Numbers too large to be followed.
  uint64_t beyond;
  /// System calls of 32 bits.
  uint64_t foreign;
  /// When the process executed another program, or 0.
  uint64_t replaced;
} fdwatch_openers_counts;

/// Loads the program, without attaching it. NULL, with errno and the step, where that fails.
fdwatch_openers *fdwatch_openers_load(const fdwatch_openers_target *target, fdwatch_openers_step *step);
/// Says that code lies there; what is in no such range is no return address.
void fdwatch_openers_add_code(fdwatch_openers *openers, uint64_t start, uint64_t limit);
/// From here on it sees the process. 0, or -1 with errno.
int fdwatch_openers_attach(fdwatch_openers *openers);
void fdwatch_openers_detach(fdwatch_openers *openers);
void fdwatch_openers_free(fdwatch_openers *openers);

void fdwatch_openers_read_counts(const fdwatch_openers *openers, fdwatch_openers_counts *counts);
/// Copies the next record out of the ring. Its size, or 0 where there is none.
size_t fdwatch_openers_next(fdwatch_openers *openers, uint8_t *bytes, size_t room);
/// What happened to a number last: when (0: nothing was seen), and by which fingerprint (0: it was closed).
void fdwatch_openers_latest(
    const fdwatch_openers *openers, uint32_t descriptor, uint64_t *time, uint64_t *fingerprint);
/// Has a fingerprint copied again when it is next seen.
void fdwatch_openers_forget(fdwatch_openers *openers, uint64_t fingerprint);

/// The name of a system call that opens descriptors, by its number; NULL for others.
const char *fdwatch_openers_call(uint32_t number);
/// Of a record, before its stack; and the largest.
size_t fdwatch_openers_record_head(void);
size_t fdwatch_openers_record_size(void);
uint32_t fdwatch_openers_most_descriptors(void);

#endif
