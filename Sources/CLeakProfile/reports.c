// SPDX-License-Identifier: Apache-2.0
// Reports of what was dropped without being closed: a ring that takes them in at any moment, and their way to fdwatch.

#include "table.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/futex.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#else
#include <time.h>
#endif

// MARK: The ring

// A bounded queue for many producers and consumers, after D. Vyukov: each cell says whose turn it is. Nobody waits for
// anybody; a producer that finds it full takes the oldest away.
enum { ring_cells = 256 };

static struct cell {
  /// The position at which it may be written, less its own number; 1 more once it is written.
  _Atomic uint64_t turn;
  struct leakprofile_report report;
} ring[ring_cells];

static _Alignas(64) _Atomic uint64_t ring_tail;
static _Alignas(64) _Atomic uint64_t ring_head;
static _Alignas(64) _Atomic uint64_t ring_lost;
/// Changes with every report; and how many threads sleep until it does.
static _Atomic uint32_t ring_changes, ring_sleepers;

// So that zeroed memory is an empty ring.
static inline uint64_t turn_of(struct cell *cell) {
  return atomic_load_explicit(&cell->turn, memory_order_acquire) + (uint64_t)(cell - ring);
}

static inline void set_turn(struct cell *cell, uint64_t turn) {
  atomic_store_explicit(&cell->turn, turn - (uint64_t)(cell - ring), memory_order_release);
}

/// Takes the oldest; `report` may be NULL.
static bool take(struct leakprofile_report *report) {
  uint64_t head = atomic_load_explicit(&ring_head, memory_order_relaxed);
  for (;;) {
    struct cell *cell = &ring[head % ring_cells];
    int64_t ahead = (int64_t)(turn_of(cell) - (head + 1));
    if (ahead < 0) return false;
    if (ahead > 0) {
      head = atomic_load_explicit(&ring_head, memory_order_relaxed);
    } else if (atomic_compare_exchange_weak_explicit(&ring_head, &head, head + 1, memory_order_relaxed,
                                                     memory_order_relaxed)) {
      if (report != NULL) *report = cell->report;
      set_turn(cell, head + ring_cells);
      return true;
    }
  }
}

static void copy_text(char *to, size_t size, const char *from) {
  size_t length = from == NULL ? 0 : strnlen(from, size - 1);
  // Not within a character of UTF-8.
  if (length == size - 1)
    while (length > 0 && ((unsigned char)from[length] & 0xc0) == 0x80) length--;
  if (length > 0) memcpy(to, from, length);
  to[length] = 0;
}

static void wake(void) {
  atomic_fetch_add_explicit(&ring_changes, 1, memory_order_seq_cst);
#ifdef __linux__
  if (atomic_load_explicit(&ring_sleepers, memory_order_seq_cst) > 0) {
    int saved = errno;
    syscall(SYS_futex, &ring_changes, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
    errno = saved;
  }
#endif
}

void leakprofile_report_put(const char *message, const char *resource, int fd, const uint64_t *stack, int depth) {
  uint64_t tail = atomic_load_explicit(&ring_tail, memory_order_relaxed);
  for (int turns = 0; turns < 4 * ring_cells;) {
    struct cell *cell = &ring[tail % ring_cells];
    int64_t ahead = (int64_t)(turn_of(cell) - tail);
    if (ahead > 0) {
      tail = atomic_load_explicit(&ring_tail, memory_order_relaxed);
    } else if (ahead < 0) {
      // Full. Where the oldest is still being written, by a thread that does not run, this one is lost instead.
      turns++;
      if (take(NULL)) atomic_fetch_add_explicit(&ring_lost, 1, memory_order_relaxed);
      tail = atomic_load_explicit(&ring_tail, memory_order_relaxed);
    } else if (atomic_compare_exchange_weak_explicit(&ring_tail, &tail, tail + 1, memory_order_relaxed,
                                                     memory_order_relaxed)) {
      struct leakprofile_report *report = &cell->report;
      report->fd = fd;
      report->depth = depth < 0 ? 0 : depth > 32 ? 32 : (uint32_t)depth;
      if (report->depth > 0) memcpy(report->stack, stack, report->depth * sizeof *stack);
      copy_text(report->resource, sizeof report->resource, resource);
      copy_text(report->message, sizeof report->message, message);
      set_turn(cell, tail + 1);
      wake();
      return;
    }
  }
  atomic_fetch_add_explicit(&ring_lost, 1, memory_order_relaxed);
}

int leakprofile_report_next(struct leakprofile_report *report) {
  if (!take(report)) return 0;
  report->lost = atomic_exchange_explicit(&ring_lost, 0, memory_order_relaxed);
  return 1;
}

void leakprofile_report_dropped(const char *resource, const char *name, int fd, const uint64_t *stack, int depth) {
  char message[sizeof((struct leakprofile_report *)0)->message];
  bool is_named = name != NULL && *name != 0;
  // Cut in the name, and not in what happened to it.
  snprintf(message, sizeof message, "%s%s%.*s: missing close", resource, is_named ? " " : "", 140, is_named ? name : "");
  leakprofile_report_put(message, resource, fd, stack, depth);
}

static bool is_empty(void) {
  uint64_t head = atomic_load_explicit(&ring_head, memory_order_relaxed);
  return (int64_t)(turn_of(&ring[head % ring_cells]) - (head + 1)) < 0;
}

void leakprofile_report_wait(void) {
  for (;;) {
    uint32_t seen = atomic_load_explicit(&ring_changes, memory_order_seq_cst);
    if (!is_empty()) return;
#ifdef __linux__
    atomic_fetch_add_explicit(&ring_sleepers, 1, memory_order_seq_cst);
    syscall(SYS_futex, &ring_changes, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    atomic_fetch_sub_explicit(&ring_sleepers, 1, memory_order_seq_cst);
#else
    nanosleep(&(struct timespec){0, 10000000}, NULL);
    (void)seen;
#endif
  }
}

void leakprofile_report_progress(uint64_t *put, uint64_t *taken) {
  *put = atomic_load_explicit(&ring_tail, memory_order_seq_cst);
  *taken = atomic_load_explicit(&ring_head, memory_order_seq_cst);
}

// MARK: To fdwatch

#ifdef __linux__
// The daemon looks a sender up in /proc when it takes its datagram: one that has exited by then is a bare number. So the
// last socket stays open, and a process that exits waits until what it sent has been taken; those that do not exit never
// wait. The number and the low bits of the inode, as the program may have closed it and given the number away.
static _Atomic uint64_t last_socket;
enum { inode_bits = 40, longest_wait_ms = 1000 };

static bool is_still_open(uint64_t kept, int *number) {
  struct stat found;
  *number = (int)(kept >> inode_bits) - 1;
  return kept != 0 && fstat(*number, &found) == 0 && S_ISSOCK(found.st_mode) &&
         ((uint64_t)found.st_ino & ((1ull << inode_bits) - 1)) == (kept & ((1ull << inode_bits) - 1));
}

static void keep(int number) {
  struct stat found;
  int old;
  if (number >= 1 << 23 || fstat(number, &found) != 0) {
    close(number);
    return;
  }
  uint64_t now = (uint64_t)(number + 1) << inode_bits | ((uint64_t)found.st_ino & ((1ull << inode_bits) - 1));
  if (is_still_open(atomic_exchange(&last_socket, now), &old)) close(old);
}

__attribute__((destructor)) static void wait_until_taken(void) {
  int number, waiting = 0;
  if (!is_still_open(atomic_load(&last_socket), &number)) return;
  for (int i = 0; i < longest_wait_ms && ioctl(number, SIOCOUTQ, &waiting) == 0 && waiting > 0; i++)
    nanosleep(&(struct timespec){0, 1000000}, NULL);
}
#else
static void keep(int number) { close(number); }
#endif

static int send_bytes(const char *bytes, size_t count) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const char *path = getenv("FDWATCH_REPORT_SOCKET");
  if (path == NULL || *path == 0) path = "/run/fdwatch/report.sock";
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(address.sun_path, path);
#ifdef SOCK_CLOEXEC
  int number = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
#else
  int number = socket(AF_UNIX, SOCK_DGRAM, 0);
  if (number >= 0) {
    fcntl(number, F_SETFD, FD_CLOEXEC);
    fcntl(number, F_SETFL, O_NONBLOCK);
  }
#endif
  if (number < 0) return -1;
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif
  ssize_t sent = sendto(number, bytes, count, MSG_NOSIGNAL, (struct sockaddr *)&address, sizeof address);
  int saved = errno;
  if (sent < 0) close(number);
  else keep(number);
  errno = saved;
  return sent < 0 ? -1 : 0;
}

struct text {
  char *bytes;
  size_t count, size;
};

static void put(struct text *text, const char *word) {
  size_t length = strlen(word);
  if (length > text->size - text->count) length = text->size - text->count;
  memcpy(text->bytes + text->count, word, length);
  text->count += length;
}

static void put_quoted(struct text *text, const char *word) {
  put(text, "\"");
  for (const char *c = word; *c; c++) {
    char escaped[8] = {*c, 0};
    if (*c == '"' || *c == '\\') snprintf(escaped, sizeof escaped, "\\%c", *c);
    if ((unsigned char)*c < ' ') snprintf(escaped, sizeof escaped, "\\u%04x", *c);
    put(text, escaped);
  }
  put(text, "\"");
}

int leakprofile_report_send(const struct leakprofile_report *report) {
  // As much as fdwatch takes in; more is never made of a report.
  char bytes[8192], number[64], symbol[128];
  struct text text = {bytes, 0, sizeof bytes};
  put(&text, "{\"message\":");
  put_quoted(&text, report->message);
  if (report->depth > 0) {
    put(&text, ",\"stack\":[");
    for (uint32_t i = 0; i < report->depth && i < 32; i++) {
      leakprofile_symbol(report->stack[i], symbol, sizeof symbol);
      if (i > 0) put(&text, ",");
      put_quoted(&text, symbol);
    }
    put(&text, "]");
  }
  if (report->resource[0] != 0) {
    put(&text, ",\"resource\":");
    put_quoted(&text, report->resource);
  }
  if (report->fd >= 0) {
    snprintf(number, sizeof number, ",\"fd\":%d", report->fd);
    put(&text, number);
  }
  put(&text, "}");
  return send_bytes(text.bytes, text.count);
}

int leakprofile_report_line(const char *line) { return send_bytes(line, strlen(line)); }

// MARK: Names

int leakprofile_symbol(uint64_t address, char *text, size_t size) {
  Dl_info info;
  int length;
  if (dladdr((void *)(uintptr_t)address, &info) != 0 && info.dli_sname != NULL) {
    length = snprintf(text, size, "%s+0x%llx", info.dli_sname,
                      (unsigned long long)(address - (uint64_t)(uintptr_t)info.dli_saddr));
  } else if (dladdr((void *)(uintptr_t)address, &info) != 0 && info.dli_fname != NULL) {
    const char *name = strrchr(info.dli_fname, '/');
    length = snprintf(text, size, "%s+0x%llx", name != NULL ? name + 1 : info.dli_fname,
                      (unsigned long long)(address - (uint64_t)(uintptr_t)info.dli_fbase));
  } else {
    length = snprintf(text, size, "0x%llx", (unsigned long long)address);
  }
  return length < 0 ? 0 : (size_t)length < size ? length : (int)size - 1;
}
