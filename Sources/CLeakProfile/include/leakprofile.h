// SPDX-License-Identifier: Apache-2.0
// Who holds what: profiles of the resources that a program holds, each with the stack that took it.
//
// The table lies in a memfd named "leakprofile" of the program's own, from which fdwatch reads it at any moment without
// the program's help. See docs/leakprofile-format.md for its layout, docs/leakprofile.md for how a program uses it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// At most so many profiles, so many bytes of a name, and so many frames of a stack; what is beyond is cut at the root.
#define LEAKPROFILE_MOST_PROFILES 64
#define LEAKPROFILE_LONGEST_NAME 95
#define LEAKPROFILE_MOST_FRAMES 64

/// Makes a profile, which is on, and stays for as long as the process. Returns its number, or -EEXIST (the name is
/// taken), -EINVAL (an empty name, one that is too long, or control characters) or -ENOSPC.
int leakprofile_new(const char *name);

/// The number of the profile of that name, or -ENOENT.
int leakprofile_find(const char *name);

/// The name of a profile, or NULL: numbers count from 0 without gaps.
const char *leakprofile_name(int profile);

/// Records every value (1), one of `every` values, or none (0). A value is recorded or not by what `every` makes of its
/// key, so that the other values cost no lock. A change to anything but 1 forgets what was recorded. -EINVAL without
/// such a profile.
int leakprofile_sample(int profile, unsigned every);

/// Records that `key` is held, with the stack of the caller, whose innermost frame is the caller of this function for a
/// `skip` of 0. While the profile is off, this is one atomic load.
///
/// The key is whatever names the value as long as it is held: an address, a token. No two values have the same key.
/// `fd` is the number of its descriptor, or -1.
///
/// Returns 0 (also if it is not sampled, or did not fit, which is counted), or -EEXIST if the key is there already, or
/// -EINVAL for what cannot be a profile. Not to be called from a signal handler.
int leakprofile_add(int profile, uint64_t key, int fd, int skip);

/// Whether a profile records anything, without a call: for who has more to do than to call `leakprofile_add`.
extern unsigned leakprofile_every[LEAKPROFILE_MOST_PROFILES];
static inline int leakprofile_is_on(int profile) {
  return __atomic_load_n(&leakprofile_every[(unsigned)profile % LEAKPROFILE_MOST_PROFILES], __ATOMIC_RELAXED) != 0;
}

/// A key that is given once in the life of a process: for what has no address that is its own.
uint64_t leakprofile_token(void);

/// Records that `key` is held no more. Returns 1 if it was there, else 0.
int leakprofile_remove(int profile, uint64_t key);

/// As `leakprofile_remove`, and writes the stack of who added it, innermost first, of `most` frames at most. Returns the
/// depth, or -ENOENT.
int leakprofile_take(int profile, uint64_t key, uint64_t *stack, int most);

/// How many values of the profile are recorded, not scaled by sampling.
size_t leakprofile_count(int profile);

/// Calls `visit` for each value that is recorded at this moment; `every` is how many values it stands for. The stack is
/// valid for as long as the process.
void leakprofile_visit(int profile, void (*visit)(void *context, uint64_t key, int fd, unsigned every,
                                                  const uint64_t *stack, int depth),
                       void *context);

/// How many values did not fit so far, and how many stacks.
void leakprofile_lost(int profile, uint64_t *values, uint64_t *stacks);

/// The size of the table, 64 KiB to 1 GiB; 16 MiB otherwise. Only what is used of it costs memory. -EBUSY after the
/// first value was recorded.
int leakprofile_configure(size_t bytes);

/// The descriptor of the table, or -1: nothing was recorded yet, or it cannot be exported.
int leakprofile_descriptor(void);

// What was dropped without being closed.

/// A report. `lost` is how many before it were overwritten, unread.
struct leakprofile_report {
  uint64_t lost;
  int32_t fd;
  uint32_t depth;
  uint64_t stack[32];
  char resource[LEAKPROFILE_LONGEST_NAME + 1];
  char message[256];
};

/// Puts a report where `leakprofile_report_next` finds it. Never blocks, never allocates, takes no lock; if 256 reports
/// wait already the oldest is lost. What is longer than its field is cut. From any thread, and from a signal handler.
void leakprofile_report_put(const char *message, const char *resource, int fd, const uint64_t *stack, int depth);

/// Puts the report that something of that name was dropped: "RESOURCE NAME: missing close".
void leakprofile_report_dropped(const char *resource, const char *name, int fd, const uint64_t *stack, int depth);

/// Takes the oldest report. Returns 1, or 0 if there is none.
int leakprofile_report_next(struct leakprofile_report *report);

/// Waits until there is a report. For the one thread that takes them.
void leakprofile_report_wait(void);

/// How many reports were put so far, and how many of them were taken or lost.
void leakprofile_report_progress(uint64_t *put, uint64_t *taken);

/// Sends a report to fdwatch: one datagram to /run/fdwatch/report.sock, or to where the environment variable
/// FDWATCH_REPORT_SOCKET says, with what dladdr(3) knows of its stack, for which that takes a lock of the dynamic linker.
/// Never waits for the daemon; but a process that exits right after it, by exit(3) or from main, waits until the daemon has
/// taken the report, a second at most: it could not tell whose it was. For that one socket stays open. Returns 0, or -1 with
/// errno: nobody listens, or cannot take more.
int leakprofile_report_send(const struct leakprofile_report *report);

/// As before, for a line of text of the caller's own.
int leakprofile_report_line(const char *line);

/// What dladdr(3) knows of an address: `function+0x1a`, or `file+0x1a2b`, or `0x…`. Returns the length, cut to `size`.
int leakprofile_symbol(uint64_t address, char *text, size_t size);

#ifdef __cplusplus
}
#endif
