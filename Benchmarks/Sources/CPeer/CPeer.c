// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "CPeer.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

long peer_count(int directory, int count) {
  struct stat found = {0};
  while (count-- > 0) {
    if (fstatat(directory, "fd", &found, 0) != 0) return -1;
  }
  return (long)found.st_size;
}

struct entry {
  uint64_t inode;
  int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[];
};

static long list(int fd, long (*each)(int fd, int fdinfo, const char *name, int details), int fdinfo, int details) {
  static char buffer[32768];
  long count = 0;
  ssize_t filled;
  while ((filled = getdents64(fd, buffer, sizeof buffer)) > 0) {
    for (ssize_t at = 0; at < filled;) {
      struct entry *entry = (struct entry *)(buffer + at);
      at += entry->length;
      if (entry->name[0] == '.') continue;
      count++;
      if (each && each(fd, fdinfo, entry->name, details) < 0) return -1;
    }
  }
  return filled < 0 ? -1 : count;
}

long peer_count_by_listing(int directory, int count) {
  long found = 0;
  while (count-- > 0) {
    int fd = openat(directory, "fd", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    found = list(fd, NULL, -1, 0);
    close(fd);
  }
  return found;
}

static int starts(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

static long look(int fd, int fdinfo, const char *name, int details) {
  static char target[4096], info[32768];
  ssize_t length = readlinkat(fd, name, target, sizeof target - 1);
  if (length < 0) return 0;
  target[length] = 0;
  if (!details) return 1;
  if (strstr(target, "[eventpoll]") || strstr(target, "inotify") || strstr(target, "[fanotify]")
      || strstr(target, "[io_uring]"))
    return 1;
  int file = openat(fdinfo, name, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  if (read(file, info, sizeof info) < 0) return -1;
  close(file);
  if (target[0] == '/' && !starts(target, "/memfd:") && !starts(target, "/dev/")) {
    struct statx node;
    statx(fd, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO, &node);
  }
  return 1;
}

long peer_census(int directory, int details) {
  int fd = openat(directory, "fd", O_RDONLY | O_CLOEXEC);
  int fdinfo = details ? openat(directory, "fdinfo", O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return -1;
  long count = list(fd, look, fdinfo, details);
  close(fd);
  if (fdinfo >= 0) close(fdinfo);
  return count;
}
