// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "CLinux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

const int fdwatch_O_PATH = O_PATH;

static int argument_count;
static char **arguments;

// The dynamic loader calls constructors like main: with argc, argv and envp.
__attribute__((constructor)) static void keep_arguments(int count, char **values) {
  argument_count = count;
  arguments = values;
}

int fdwatch_argument_count(void) { return argument_count; }

const char *fdwatch_argument(int index) { return arguments[index]; }

ssize_t fdwatch_getdents64(int descriptor, void *buffer, size_t size) { return getdents64(descriptor, buffer, size); }

int fdwatch_is_procfs(int descriptor) {
  struct statfs fs;
  return fstatfs(descriptor, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

int fdwatch_stat_cached(int directory, const char *name, uint32_t *mode, uint64_t *inode) {
  struct statx found;
  if (statx(directory, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO, &found) != 0) return -1;
  *mode = found.stx_mode;
  *inode = found.stx_ino;
  return 0;
}

int fdwatch_signals_open(void) {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGINT);
  sigaddset(&mask, SIGTERM);
  sigaddset(&mask, SIGHUP);
  sigaddset(&mask, SIGWINCH);
  sigaddset(&mask, SIGQUIT);
  sigaddset(&mask, SIGTSTP);
  if (sigprocmask(SIG_BLOCK, &mask, NULL) != 0) return -1;
  return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

int fdwatch_signals_next(int descriptor) {
  struct signalfd_siginfo info;
  ssize_t got = read(descriptor, &info, sizeof info);
  if (got == (ssize_t)sizeof info) return (int)info.ssi_signo;
  return got < 0 && errno != EAGAIN && errno != EINTR ? -1 : 0;
}

int fdwatch_pidfd_open(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int fdwatch_window_size(int descriptor, unsigned short *rows, unsigned short *columns) {
  struct winsize size;
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0) return -1;
  *rows = size.ws_row;
  *columns = size.ws_col;
  return 0;
}

int fdwatch_has_capability(int number) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {{0}};
  if (number < 0 || number > 63 || syscall(SYS_capget, &header, data) != 0) return 0;
  return (data[number / 32].effective >> (number % 32)) & 1;
}

void fdwatch_raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void fdwatch_return_freed_memory(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

int fdwatch_create(const char *path) { return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600); }

uint64_t fdwatch_descriptor_limit(void) {
  struct rlimit limit;
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

int fdwatch_lock_file(const char *path, int *holder) {
  *holder = 0;
  int file = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
  if (file < 0) return -1;
  // Of the process, and not of the open file: then the kernel knows who holds it.
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  if (fcntl(file, F_SETLK, &lock) == 0) return file;
  int why = errno == EACCES ? EAGAIN : errno;
  if (why == EAGAIN && fcntl(file, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) *holder = lock.l_pid;
  close(file);
  errno = why;
  return -1;
}

int fdwatch_create_new(const char *path) {
  return open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
}
