// SPDX-License-Identifier: Apache-2.0
// Threads that add and remove without pause.
//
//   leakstress PAIRS    8 threads, each so many pairs, while another looks; then "done", and waits for its input to end
//   leakstress fork     forks in the midst of that; the child says "child PID", and both wait
//   leakstress exec     says what a program that it becomes has open
//
// What a value's descriptor is follows from its key, and the function that adds it from both: so a torn entry shows.

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "leakprofile.h"

enum { threads = 8, kept = 100, churned = 64 };

static int profile;
static long pairs;
static atomic_bool is_over;
static atomic_long torn, looks;

static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  _exit(70);
}

static void add(uint64_t key) {
  if (leakprofile_add(profile, key, (int)(key & 0x7fffffff), 1) != 0) fail("a value was there twice");
}

#define SITE(name)                                                                                                     \
  __attribute__((noinline)) static void name(uint64_t key) {                                                           \
    add(key);                                                                                                          \
    __asm__ volatile("");                                                                                              \
  }
SITE(site0)
SITE(site1)
SITE(site2)
SITE(site3)

static void add_at_site(uint64_t key) {
  switch (key % 4) {
  case 0: site0(key); break;
  case 1: site1(key); break;
  case 2: site2(key); break;
  default: site3(key);
  }
}

static void *work(void *argument) {
  uint64_t base = (uint64_t)(uintptr_t)argument << 16;
  for (long i = 0; i < pairs && !atomic_load(&is_over); i++) {
    uint64_t key = base + kept + (uint64_t)(i % churned);
    if (i >= churned && leakprofile_remove(profile, key) != 1) fail("a value was not there");
    add_at_site(key);
  }
  for (int i = 0; i < churned; i++) leakprofile_remove(profile, base + kept + (uint64_t)i);
  return NULL;
}

static void check(void *context, uint64_t key, int fd, unsigned every, const uint64_t *stack, int depth) {
  long *seen = context;
  ++*seen;
  if (fd != (int)(key & 0x7fffffff) || every != 1 || depth < 1 || stack[0] == 0) atomic_fetch_add(&torn, 1);
}

static void *look(void *argument) {
  (void)argument;
  while (!atomic_load(&is_over)) {
    long seen = 0;
    leakprofile_visit(profile, check, &seen);
    if (seen < threads * kept) fail("what was never removed is not there");
    atomic_fetch_add(&looks, 1);
  }
  return NULL;
}

static void start(pthread_t *workers) {
  for (uint64_t t = 1; t <= threads; t++)
    for (uint64_t i = 0; i < kept; i++) add_at_site((t << 16) + i);
  for (uintptr_t t = 1; t <= threads; t++) pthread_create(&workers[t - 1], NULL, work, (void *)t);
}

static void finish(pthread_t *workers) {
  for (int t = 0; t < threads; t++) pthread_join(workers[t], NULL);
}

static void wait_for_end(void) {
  char byte;
  while (read(0, &byte, 1) > 0) {}
}

static void in_child(int end) {
  if (leakprofile_count(profile) != 0) fail("the child has its parent's values");
  if (leakprofile_remove(profile, 1 << 16) != 0) fail("the child removed a value of its parent");
  int inherited = leakprofile_descriptor();
  if (inherited >= 0) fail("the child has its parent's table");
  add_at_site(1 << 16);
  add_at_site(7);
  if (leakprofile_count(profile) != 2 || leakprofile_descriptor() < 0) fail("the child's own table does not work");
  printf("child %d\n", (int)getpid());
  fflush(stdout);
  char byte;
  while (read(end, &byte, 1) > 0) {}
  _exit(0);
}

int main(int count, char **words) {
  profile = leakprofile_new("file");
  if (profile < 0 || leakprofile_new("file") != -EEXIST || leakprofile_new("") != -EINVAL) fail("names");
  if (count > 1 && strcmp(words[1], "exec") == 0) {
    add_at_site(1);
    execlp("ls", "ls", "-l", "/proc/self/fd", (char *)NULL);
    fail("exec");
  }
  pthread_t workers[threads], looker;
  bool forks = count > 1 && strcmp(words[1], "fork") == 0;
  pairs = forks ? 1L << 40 : count > 1 ? atol(words[1]) : 100000;
  start(workers);
  if (forks) {
    int end[2];
    // Many times, so that some fork comes while locks are held.
    for (int i = 0; i < 50; i++) {
      pid_t child = fork();
      if (child == 0) {
        add_at_site(5);
        _exit(leakprofile_count(profile) == 1 ? 0 : 71);
      }
      int status;
      if (waitpid(child, &status, 0) != child || status != 0) fail("a child's table does not work");
    }
    if (pipe(end) != 0) fail("pipe");
    pid_t child = fork();
    if (child == 0) {
      close(end[1]);
      in_child(end[0]);
    }
    atomic_store(&is_over, true);
    finish(workers);
    if (leakprofile_count(profile) != threads * kept) fail("the parent's values changed");
    printf("parent %d\n", (int)getpid());
    fflush(stdout);
    wait_for_end();
    close(end[1]);
    int status;
    waitpid(child, &status, 0);
    return status != 0;
  }
  pthread_create(&looker, NULL, look, NULL);
  printf("ready\n");
  fflush(stdout);
  finish(workers);
  atomic_store(&is_over, true);
  pthread_join(looker, NULL);
  if (torn != 0 || leakprofile_count(profile) != threads * kept) fail("torn, or not as many as there should be");
  printf("done %ld\n", atomic_load(&looks));
  fflush(stdout);
  wait_for_end();
  return 0;
}
