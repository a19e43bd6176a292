// SPDX-License-Identifier: Apache-2.0
// See the header for why each of these is here.
#define _GNU_SOURCE
#include "CTestSupport.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

int support_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int support_open_terminal(int rows, int columns, char *name, unsigned long size) {
  int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) return -1;
  if (grantpt(terminal) == 0 && unlockpt(terminal) == 0 && ptsname_r(terminal, name, size) == 0
      && support_resize_terminal(terminal, rows, columns) == 0) {
    return terminal;
  }
  int saved = errno;
  close(terminal);
  errno = saved;
  return -1;
}

int support_resize_terminal(int terminal, int rows, int columns) {
  struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
  return ioctl(terminal, TIOCSWINSZ, &size);
}

int support_spawn(
  int *pid, char *const arguments[], char *const environment[], const char *directory, const int standard[3],
  const char *terminal) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  if (terminal) {
    // Opened by the leader of a session that has none, it becomes the terminal that controls it.
    posix_spawn_file_actions_addopen(&actions, 0, terminal, O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions, 0, 1);
    posix_spawn_file_actions_adddup2(&actions, 0, 2);
  } else {
    for (int i = 0; i < 3; i++) posix_spawn_file_actions_adddup2(&actions, standard[i], i);
  }
  if (directory) posix_spawn_file_actions_addchdir_np(&actions, directory);
  sigset_t all;
  sigset_t none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  short session = terminal ? POSIX_SPAWN_SETSID : 0;
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | session);
  pid_t child = -1;
  int error = posix_spawnp(&child, arguments[0], &actions, &attributes, arguments, environment);
  *pid = child;
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return error;
}

int support_memfd(const char *name, unsigned long size, int seals) {
  int number = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (number < 0) return -1;
  if (ftruncate(number, (off_t)size) == 0 && fcntl(number, F_ADD_SEALS, seals) == 0) return number;
  close(number);
  return -1;
}
