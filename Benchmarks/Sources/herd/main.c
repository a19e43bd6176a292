// SPDX-License-Identifier: Apache-2.0
// herd COUNT DESCRIPTORS FOLDER: processes as a host has them. Each holds descriptors of mixed kinds, and has up to eight
// files open that come and go, one every second or so. Says "ready" when all are there; they end with it.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void hold(int descriptors, const char *folder) {
  char path[512];
  int pair[2];
  for (int held = 4; held < descriptors;) {
    switch (held % 5) {
    case 0: held += pipe(pair) == 0 ? 2 : 1; break;
    case 1: held += socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 ? 2 : 1; break;
    case 2: held += eventfd(0, 0) >= 0; break;
    case 3:
      snprintf(path, sizeof path, "%s/held-%d", folder, held);
      held += open(path, O_CREAT | O_RDWR, 0600) >= 0;
      break;
    default: held += open("/dev/null", O_RDONLY) >= 0;
    }
  }
}

static void churn(const char *folder) {
  char path[512];
  int held[8];
  for (int i = 0; i < 8; i++) held[i] = -1;
  for (;;) {
    int place = rand() % 8;
    if (held[place] >= 0) {
      close(held[place]);
      held[place] = -1;
    } else {
      snprintf(path, sizeof path, "%s/busy-%d", folder, rand() % 20);
      held[place] = open(path, O_CREAT | O_RDWR, 0600);
    }
    usleep(500000 + rand() % 1000000);
  }
}

int main(int count, char **words) {
  if (count != 4) return 64;
  int gate[2];
  if (pipe(gate) != 0) return 1;
  for (int i = 0; i < atoi(words[1]); i++) {
    pid_t child = fork();
    if (child < 0) return 1;
    if (child > 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char name[16];
    snprintf(name, sizeof name, "herd-%d", i % 50);
    prctl(PR_SET_NAME, name);
    srand((unsigned)i);
    close(gate[0]);
    hold(atoi(words[2]), words[3]);
    if (write(gate[1], "x", 1) != 1) return 1;
    close(gate[1]);
    churn(words[3]);
  }
  char byte;
  for (int i = 0; i < atoi(words[1]); i++)
    if (read(gate[0], &byte, 1) != 1) return 1;
  printf("ready\n");
  fflush(stdout);
  for (;;) pause();
}
