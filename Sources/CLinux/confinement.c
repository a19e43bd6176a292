// SPDX-License-Identifier: Apache-2.0
// What the helper gives up before it reads a foreign byte.
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Lowers a limit, soft and hard: never above what it is.
static int lower(__rlimit_resource_t which, rlim_t most) {
  struct rlimit limit;
  if (getrlimit(which, &limit) != 0) return -1;
  if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max > most) limit.rlim_max = most;
  if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > limit.rlim_max) limit.rlim_cur = limit.rlim_max;
  return setrlimit(which, &limit);
}

static int drop_capabilities(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2] = {{0}}, held[2];
  // Where there are none, as under systemd, the call may be closed to us, too.
  if (syscall(SYS_capget, &header, held) == 0 && !(held[0].permitted | held[1].permitted)) return 0;
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  return (int)syscall(SYS_capset, &header, none);
}

int fdwatch_confine(const fdwatch_confinement *limits) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  // Where memory is short it goes first. Before its files in /proc belong to root.
  int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (score >= 0) {
    ssize_t ignored = write(score, "1000", 4);
    (void)ignored;
    close(score);
  }
  if (lower(RLIMIT_CORE, 0) != 0 || lower(RLIMIT_FSIZE, 0) != 0 || lower(RLIMIT_MEMLOCK, 0) != 0 ||
      lower(RLIMIT_NOFILE, limits->descriptors) != 0 || lower(RLIMIT_STACK, limits->stack_bytes) != 0 ||
      lower(RLIMIT_DATA, limits->data_bytes) != 0 || lower(RLIMIT_CPU, limits->cpu_seconds) != 0)
    return -1;
  // No user has groups that matter to a stranger's files but the one that root gives up for.
  if (geteuid() == 0) {
    uint32_t user = limits->user;
    if (syscall(SYS_setgroups, 0, NULL) != 0 || syscall(SYS_setresgid, user, user, user) != 0 ||
        syscall(SYS_setresuid, user, user, user) != 0) {
      // The root of a user namespace that has no such user: nobody but itself outside of it.
      if (errno != EINVAL) return -1;
    }
  }
  if (drop_capabilities() != 0) return -1;
  if (lower(RLIMIT_NPROC, 0) != 0) return -1;
  return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int fdwatch_allow_cpu(unsigned seconds) {
  struct rlimit limit;
  struct timespec used;
  if (getrlimit(RLIMIT_CPU, &limit) != 0 || clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0) return -1;
  limit.rlim_cur = (rlim_t)used.tv_sec + 1 + seconds;
  if (limit.rlim_max != RLIM_INFINITY && limit.rlim_cur > limit.rlim_max) limit.rlim_cur = limit.rlim_max;
  return setrlimit(RLIMIT_CPU, &limit);
}

int64_t fdwatch_cpu_nanoseconds(void) {
  struct timespec used;
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0) return 0;
  return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}
