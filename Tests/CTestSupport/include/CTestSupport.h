// SPDX-License-Identifier: Apache-2.0
// What the tests need of the C library that its Swift module leaves out, being for _GNU_SOURCE only.

#ifndef CTESTSUPPORT_H
#define CTESTSUPPORT_H

/// pipe2(2) with O_CLOEXEC: the child of a test beside this one must not inherit it.
int support_pipe(int ends[2]);

/// A pseudoterminal of a size. Returns our side, -1 with errno set; `name` gets the path of the other side.
int support_open_terminal(int rows, int columns, char *name, unsigned long size);

/// Changes the size; the kernel then sends SIGWINCH to what runs there.
int support_resize_terminal(int terminal, int rows, int columns);

/// posix_spawnp(3): its file attributes and actions cannot be made from Swift.
///
/// The child has default signals: a shell that runs the tests in the background ignores SIGINT for all below it.
/// \param directory where it runs, or NULL.
/// \param standard descriptors that become 0, 1 and 2, or NULL.
/// \param terminal path of the terminal that it opens as all three instead, in a session of its own, or NULL.
/// \returns 0, or an errno.
int support_spawn(
  int *pid, char *const arguments[], char *const environment[], const char *directory, const int standard[3],
  const char *terminal);

/// memfd_create(2) with seals: `size` bytes, sealed as F_ADD_SEALS takes it. -1 with errno set.
int support_memfd(const char *name, unsigned long size, int seals);

#endif
