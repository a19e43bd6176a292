// SPDX-License-Identifier: Apache-2.0
// What Swift's Glibc module leaves out: it is built without _GNU_SOURCE.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// `O_PATH`: a handle for look-ups that opens nothing. See open(2).
extern const int fdwatch_O_PATH;

/// getdents64(2): glibc wraps it under _GNU_SOURCE only.
ssize_t fdwatch_getdents64(int descriptor, void *buffer, size_t size);

/// Whether the descriptor lies on a procfs: statfs(2)'s f_type, which Swift cannot see.
int fdwatch_is_procfs(int descriptor);

/// statx(2) that takes what the kernel has in its caches, so that a file server that is away cannot block us.
/// Returns 0 and the mode and inode, or -1 with errno.
int fdwatch_stat_cached(int directory, const char *name, uint32_t *mode, uint64_t *inode);

/// signalfd(2) for SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGWINCH and SIGTSTP, which it blocks in the calling thread.
int fdwatch_signals_open(void);
/// The number of the next signal that came in, 0 if there is none, or -1 with errno.
int fdwatch_signals_next(int descriptor);

/// pidfd_open(2), which glibc wraps only since 2.36; the variadic `syscall` cannot be called from Swift.
int fdwatch_pidfd_open(int pid);

/// ioctl(2) TIOCGWINSZ: variadic. Returns 0, or -1 with errno.
int fdwatch_window_size(int descriptor, unsigned short *rows, unsigned short *columns);

/// Raises our own soft RLIMIT_NOFILE to the hard one, if it can: the type of its name differs between C libraries.
void fdwatch_raise_descriptor_limit(void);

/// Whether the thread's effective set has the capability of that number: capget(2) has no wrapper in glibc.
int fdwatch_has_capability(int number);

/// open(2) that creates or empties a file, for its owner only: variadic. The descriptor, or -1 with errno.
int fdwatch_create(const char *path);
