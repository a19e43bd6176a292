// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Runs in the child, where only async-signal-safe calls are allowed: see signal-safety(7).
static void become(const char *const *arguments, const char *const *environment, int input, int output, int report,
                   uint32_t user, uint32_t group, const uint32_t *groups, int group_count) {
  setpgid(0, 0);
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (chdir("/") != 0 || dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) goto failed;
  // The report is closed by execve itself: its end tells the parent that all went well.
  if (report != 3) {
    if (dup3(report, 3, O_CLOEXEC) < 0) goto failed;
    report = 3;
  }
  syscall(SYS_close_range, 4, ~0u, 0);
  if (user != UINT32_MAX) {
    if (syscall(SYS_setgroups, group_count, groups) != 0 || syscall(SYS_setresgid, group, group, group) != 0 ||
        syscall(SYS_setresuid, user, user, user) != 0)
      goto failed;
  }
  execve(arguments[0], (char *const *)arguments, (char *const *)environment);
failed:;
  int why = errno;
  ssize_t ignored = write(report, &why, sizeof why);
  (void)ignored;
  _exit(127);
}

// MARK: The supervisor

// Stands between us and a command. Whatever the command starts stays its descendant, in whatever session or process group:
// orphans come to it (PR_SET_CHILD_SUBREAPER of prctl(2)). When the command ends, all that it has left running ends, too.
// It is a copy of us that executes nothing, so only async-signal-safe calls are allowed in it.

const int fdwatch_END = SIGTERM, fdwatch_END_BY_FORCE = SIGUSR2;

// The calling thread's children, each of which gets a SIGKILL. See proc(5), "/proc/tid/children".
static void kill_children(void) {
  int list = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
  if (list < 0) return;
  char text[4096];
  pid_t pid = 0;
  ssize_t got;
  // A number may be cut by the end of the buffer: it goes on in the next one.
  while ((got = read(list, text, sizeof text)) > 0)
    for (ssize_t i = 0; i < got; i++) {
      if (text[i] >= '0' && text[i] <= '9') {
        pid = pid * 10 + (text[i] - '0');
      } else if (pid > 0) {
        kill(pid, SIGKILL);
        pid = 0;
      }
    }
  close(list);
}

// Reaps what has ended. Returns whether a child is left; the status of `command` goes to `code` if it is among them.
static int reap(pid_t command, int *code) {
  for (;;) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid == 0) return 1;
    if (pid < 0) return errno == EINTR ? 1 : 0;
    if (pid == command) *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
}

static void supervise(pid_t command) {
  // Nothing of ours stays open in it: our sockets, the output that is read to its end.
  syscall(SYS_close_range, 0, ~0u, 0);
  sigset_t awaited;
  sigemptyset(&awaited);
  sigaddset(&awaited, SIGCHLD);
  sigaddset(&awaited, fdwatch_END);
  sigaddset(&awaited, fdwatch_END_BY_FORCE);
  int code = -1, got = 0;
  while (code < 0 && got != fdwatch_END_BY_FORCE) {
    got = sigwaitinfo(&awaited, NULL);
    if (got == fdwatch_END) kill(-command, SIGTERM);
    if (!reap(command, &code)) break;
  }
  // Each round ends the children that there are; their children are then ours. Where we are not root, what has become
  // another user's cannot be ended, and is not waited for: for three seconds at most.
  struct timespec begin, now, pause = {0, 10 * 1000 * 1000};
  clock_gettime(CLOCK_MONOTONIC, &begin);
  while (reap(command, &code)) {
    kill_children();
    sigtimedwait(&awaited, NULL, &pause);
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec - begin.tv_sec > 3) break;
  }
  _exit(code < 0 ? 128 + SIGKILL : code);
}

static pid_t fork_safely(void) {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 34)
  return _Fork();
#else
  return fork();
#endif
}

// In the parent: the child, once it has executed its command, or -1 with errno.
static int started(pid_t child, const int report[2]) {
  int why = errno;
  close(report[1]);
  if (child < 0) {
    close(report[0]);
    errno = why;
    return -1;
  }
  ssize_t got;
  do got = read(report[0], &why, sizeof why);
  while (got < 0 && errno == EINTR);
  close(report[0]);
  if (got != sizeof why) return child;
  waitpid(child, NULL, 0);
  errno = why;
  return -1;
}

int fdwatch_spawn(const char *const *arguments, const char *const *environment, int input, int output, uint32_t user,
                  uint32_t group, const uint32_t *groups, int group_count) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return -1;
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_NAME, "fdwatch-hook");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    // A terminal's Ctrl-C is not for it.
    setpgid(0, 0);
    signal(SIGCHLD, SIG_DFL);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    pid_t command = fork_safely();
    if (command == 0) become(arguments, environment, input, output, report[1], user, group, groups, group_count);
    if (command > 0) supervise(command);
    int why = errno;
    ssize_t ignored = write(report[1], &why, sizeof why);
    (void)ignored;
    _exit(127);
  }
  return started(child, report);
}

int fdwatch_spawn_helper(const char *const *arguments, const char *const *environment, int input, int output) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return -1;
  pid_t child = fork();
  if (child == 0) become(arguments, environment, input, output, report[1], UINT32_MAX, UINT32_MAX, NULL, 0);
  return started(child, report);
}

int fdwatch_find_user(const char *name, uint32_t *user, uint32_t *group, uint32_t *groups, int size) {
  struct passwd record, *found = NULL;
  char text[16 << 10];
  char *end;
  unsigned long number = strtoul(name, &end, 10);
  int failed = *name && !*end ? getpwuid_r((uid_t)number, &record, text, sizeof text, &found)
                              : getpwnam_r(name, &record, text, sizeof text, &found);
  if (failed || !found) return -1;
  *user = found->pw_uid;
  *group = found->pw_gid;
  int count = size;
  if (getgrouplist(found->pw_name, found->pw_gid, (gid_t *)groups, &count) < 0) return -1;
  return count;
}

int fdwatch_memory_file(const char *name, const void *bytes, size_t count) {
  int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) return -1;
  size_t done = 0;
  while (done < count) {
    ssize_t wrote = write(descriptor, (const char *)bytes + done, count - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) goto failed;
    done += (size_t)wrote;
  }
  if (lseek(descriptor, 0, SEEK_SET) == 0 &&
      fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0)
    return descriptor;
failed:;
  int why = errno;
  close(descriptor);
  errno = why;
  return -1;
}

int fdwatch_reap(int pid, int *status) {
  int raw;
  pid_t got = waitpid(pid, &raw, WNOHANG);
  if (got <= 0) return (int)got;
  *status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
  return 1;
}

int fdwatch_pipe(int numbers[2]) {
  if (pipe2(numbers, O_CLOEXEC) != 0) return -1;
  return fcntl(numbers[0], F_SETFL, O_NONBLOCK);
}

int fdwatch_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
