// SPDX-License-Identifier: Apache-2.0
// What a memfd is: seals and file system, by macros that Swift cannot see.
#define _GNU_SOURCE
#include "CLinux.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>

const int fdwatch_F_SEAL_SHRINK = F_SEAL_SHRINK, fdwatch_F_SEAL_GROW = F_SEAL_GROW;

int fdwatch_seals(int descriptor) { return fcntl(descriptor, F_GET_SEALS); }

int fdwatch_is_tmpfs(int descriptor) {
  struct statfs fs;
  return fstatfs(descriptor, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}
