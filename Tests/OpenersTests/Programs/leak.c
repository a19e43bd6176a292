// SPDX-License-Identifier: Apache-2.0
// Opens descriptors on request: a command a line, each answered by "done". Built without frame pointers, and stripped.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#define APART __attribute__((noinline, noclone))

// What follows a call keeps it from being the last: that would be a jump.
static volatile int after;

APART int upload_save(int i) {
  // Larger than a short fingerprint would see.
  volatile char buffer[3000];
  buffer[i % 3000] = 1;
  int n = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
  after = buffer[i % 3000];
  return n;
}

APART int session_begin(int i) {
  volatile char buffer[3000];
  buffer[i % 3000] = 1;
  int n = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  after = buffer[i % 3000];
  return n;
}

APART int innocent(int i) {
  volatile char buffer[3000];
  buffer[i % 3000] = 1;
  int n = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
  close(n);
  after = buffer[i % 3000];
  return n;
}

APART int handle(int i, int busy) {
  int sum = 0;
  for (int k = 0; k < busy; k++) sum += innocent(k);
  sum += i % 4 == 3 ? session_begin(i) : upload_save(i);
  after = sum;
  return sum;
}

static void *thread(void *argument) {
  handle(0, 0);
  return argument;
}

// A descriptor that comes in from outside: nothing opens it.
APART void receive(void) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) != 0) exit(1);
  int sent = 0;
  char byte = 0, space[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(head), &sent, sizeof sent);
  if (sendmsg(pair[0], &message, 0) != 1 || recvmsg(pair[1], &message, 0) != 1) exit(1);
  close(pair[0]);
  close(pair[1]);
}

// The registers and the stack of this very moment, in the layout of COpeners/bpf/record.h.
APART void record(const char *path) {
  static struct {
    uint64_t time, fingerprint;
    uint32_t thread, call;
    uint64_t registers[21];
    uint32_t bytes, padding;
    char stack[16384];
  } record = {.time = 1, .fingerprint = 42, .call = 257};
  ucontext_t now;
  getcontext(&now);
  static const int order[] = {REG_R15, REG_R14, REG_R13, REG_R12, REG_RBP, REG_RBX, REG_R11, REG_R10, REG_R9, REG_R8, REG_RAX,
                              REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_RAX, REG_RIP, REG_EFL, REG_EFL, REG_RSP};
  for (int i = 0; i < 20; i++) record.registers[i] = (uint64_t)now.uc_mcontext.gregs[order[i]];
  pthread_attr_t attributes;
  void *low;
  size_t size;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &low, &size);
  uint64_t sp = record.registers[19], left = (uint64_t)low + size - sp;
  record.bytes = left < sizeof record.stack ? (uint32_t)left : sizeof record.stack;
  memcpy(record.stack, (void *)sp, record.bytes);
  FILE *file = fopen(path, "w");
  if (!file || fwrite(&record, 200 + record.bytes, 1, file) != 1 || fclose(file) != 0) exit(1);
}

APART void recorded_caller(const char *path) {
  record(path);
  after = 1;
}

int main(int count, char **arguments) {
  char line[4096];
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (count > 1) puts(arguments[1]);
  puts("ready");
  while (fgets(line, sizeof line, stdin)) {
    int n = 0, busy = 0;
    line[strcspn(line, "\n")] = 0;
    if (sscanf(line, "leak %d %d", &n, &busy) == 2) {
      for (int i = 0; i < n; i++) handle(i, busy);
    } else if (sscanf(line, "threads %d", &n) == 1) {
      for (int i = 0; i < n; i++) {
        pthread_t one;
        if (pthread_create(&one, NULL, thread, NULL) != 0 || pthread_join(one, NULL) != 0) exit(1);
      }
    } else if (strcmp(line, "receive") == 0) {
      receive();
    } else if (sscanf(line, "close %d %d", &n, &busy) == 2) {
      close_range((unsigned)n, (unsigned)busy, 0);
    } else if (sscanf(line, "over %d %d", &n, &busy) == 2) {
      dup2(n, busy);
    } else if (strcmp(line, "exec") == 0) {
      execl("/proc/self/exe", "leak", "again", NULL);
    } else if (strncmp(line, "record ", 7) == 0) {
      recorded_caller(line + 7);
    }
    puts("done");
  }
}
