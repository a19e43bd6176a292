// SPDX-License-Identifier: Apache-2.0
// What tells a file from others, by macros that Swift cannot see.
#define _GNU_SOURCE
#include "CLinux.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

int fdwatch_file_identity(int descriptor, uint32_t *mode, uint32_t *major_number, uint32_t *minor_number) {
  struct stat found;
  if (fstat(descriptor, &found) != 0) return -1;
  *mode = found.st_mode;
  *major_number = major(found.st_dev);
  *minor_number = minor(found.st_dev);
  return 0;
}
