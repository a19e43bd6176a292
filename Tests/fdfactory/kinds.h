// SPDX-License-Identifier: Apache-2.0
// Makes one descriptor, or one pair, of a kind that has a name.

#ifndef KINDS_H
#define KINDS_H

#include <stdbool.h>

/// What one call made: one descriptor or two, and where in the file system it lies if it has a name there.
struct made {
  int fd[2];
  int count;
  char *path;
};

struct kind {
  const char *name;
  /// Fills `made` and returns 0, or returns -1 with errno set and nothing left open.
  int (*make)(struct made *made);
  /// Closing one end would change what the other one is.
  bool inseparable;
};

/// NULL if there is no such kind.
const struct kind *find_kind(const char *name);

/// The own temporary directory, made at first need; NULL with errno set if that fails.
const char *temp_dir(void);

/// Gives the temporary directory, if there is one, to another user, who could not remove it otherwise.
int chown_temp_dir(unsigned id);

/// Removes the temporary directory and what lies in it.
void remove_temp_dir(void);

/// The path of `name` in the temporary directory, to be freed; NULL with errno set.
char *temp_path(const char *name);

#endif
