// SPDX-License-Identifier: Apache-2.0
// A server that tells the first line of the files that it is asked for, and forgets to close those that are empty.
// fdwatch reads who opened them without any configuration.
//
//   make leakprofile && cc -g -fno-omit-frame-pointer -I Sources/CLeakProfile/include Examples/c/server.c \
//     .build/leakprofile/libleakprofile.a -lpthread -o server

#include <fcntl.h>
#include <leakprofile.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int files;

// Not inlined: a frame that is not there cannot be skipped, and its caller would be instead.
__attribute__((noinline)) static int open_file(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  // The stack begins with who called this.
  if (fd >= 0) leakprofile_add(files, (uint64_t)fd, fd, 1);
  return fd;
}

static void close_file(int fd) {
  // Before the number can become another thread's.
  leakprofile_remove(files, (uint64_t)fd);
  close(fd);
}

static void first_line(const char *path, char *line, size_t size) {
  int fd = open_file(path);
  if (fd < 0) {
    snprintf(line, size, "there is no %s", path);
    return;
  }
  ssize_t count = read(fd, line, size - 1);
  if (count <= 0) {
    snprintf(line, size, "%s is empty", path);
    return;
  }
  line[count] = 0;
  line[strcspn(line, "\n")] = 0;
  close_file(fd);
}

int main(void) {
  char path[4096], line[4096];
  files = leakprofile_new("file");
  setvbuf(stdout, NULL, _IOLBF, 0);
  while (fgets(path, sizeof path, stdin)) {
    path[strcspn(path, "\n")] = 0;
    first_line(path, line, sizeof line);
    puts(line);
  }
  return 0;
}
