// SPDX-License-Identifier: Apache-2.0
// A process that makes each kind of descriptor for real when it is told to: the live child that tests watch.
//
// It reads commands from standard input, one a line, and answers each with one line on standard output. What an answer
// reports has happened, so that tests wait for answers and never for time. The first line is `ready PID`; descriptors
// above 2 that were inherited are closed before it.
//
//   open KIND N      ok FD …       N descriptors. Kinds that come in pairs (pipe, pty, tcp-established, unix-connected)
//                                  give N in total. Of the last pair of an odd N the second end is closed; where that
//                                  would change the first (tcp-established, unix-connected), N must be even. May be
//                                  `unsupported KIND ERRNO` where the kernel or a permission forbids it; an error
//                                  where a limit does. Nothing of it is left open then.
//   close FD …       ok            All of them or, if one was not made here, none.
//   dup FD N         ok FD …       N more descriptors of the same open file description.
//   reuse FD KIND    ok FD         The same number for another one; the number is never free in between. Of a pair the
//                                  first end. May say `unsupported` like `open`; FD is as before then.
//   name HEX         ok            The first 15 bytes name (comm) the thread that serves. `00` makes the name empty.
//   path HEX         ok FD         Opens (with O_CREAT) the file of this raw name in the own temporary directory.
//   rename FD HEX    ok            For what has a path: file, directory, directory-plain, fifo, unix-listen, path.
//   unlink FD        ok            Likewise; its path is forgotten.
//   write FD N       ok            Appends N bytes to a regular file: the offset moves.
//   main-exit        ok            Another thread takes the protocol over and the main thread is a zombie. Again: that
//                                  thread hands over to a third and is gone, and so on.
//   drop UID         ok            Becomes this user and group; dumpable again, which the kernel had reset.
//   undumpable       ok
//   fork             child PID     The child has copies of all descriptors and waits.
//   child-exit PID   ok            The child is a zombie.
//   reap PID         ok
//   limit SOFT       ok            The soft limit of the number of descriptors.
//   churn MS         ok            And, MS milliseconds later, `churned COUNT`: so often has a thread opened and closed
//                                  a descriptor of /dev/null. One churn at a time.
//   leak KIND MS N  ok            Then one every MS milliseconds until there are N (or no more can be had), and at last
//                                  `leaked COUNT`. They are closed only by the end of the process.
//   exit CODE                      No answer.
//
// Whatever else goes wrong is `error …`, with the ERRNO's name as the last word if there is one. It ends with 0 when
// standard input does. All descriptors have FD_CLOEXEC; between two answers nothing but what was asked for is open,
// save what a churn has open.

#define _GNU_SOURCE
#include "kinds.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/// What is known of a descriptor that was made here; indexed by its number.
struct held {
  bool open;
  char *path;
};

struct child {
  pid_t pid;
  struct child *next;
};

static struct held *held;
static int held_count;
static struct child *children;
static pid_t leaving;
static atomic_bool churning;

// Leaving, and answers.

static _Noreturn void leave(int code) {
  for (struct child *child = children; child; child = child->next) {
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
  }
  for (int fd = 3; fd < held_count; fd++) {
    if (held[fd].open) close(fd);
  }
  // Whatever the limit is, there is room now to open the directory.
  close(STDIN_FILENO);
  remove_temp_dir();
  // Not exit(3): a churning thread may hold the lock of the standard output.
  _exit(code);
}

static void *must(void *memory) {
  if (!memory) leave(125);
  return memory;
}

/// The end of an answer. Who no longer listens cannot be served.
static void finish(void) {
  putchar('\n');
  if (fflush(stdout) != 0) leave(124);
}

__attribute__((format(printf, 1, 2))) static void answer(const char *format, ...) {
  va_list arguments;
  flockfile(stdout);
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  finish();
  funlockfile(stdout);
}

static void answer_numbers(const int *numbers, long count) {
  flockfile(stdout);
  fputs("ok", stdout);
  for (long i = 0; i < count; i++) printf(" %d", numbers[i]);
  finish();
  funlockfile(stdout);
}

static const char *error_name(int error) {
  const char *name = NULL;
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
  name = strerrorname_np(error);
#endif
  static char number[16];
  if (!name) {
    snprintf(number, sizeof number, "E%d", error);
    name = number;
  }
  return name;
}

static void answer_error(const char *what) { answer("error %s %s", what, error_name(errno)); }

/// A kind could not be made: is it this system that does not have it, or did a limit hit?
static void answer_unmade(const char *kind) {
  bool limit = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOSPC || errno == EDQUOT;
  answer("%s %s %s", limit ? "error" : "unsupported", kind, error_name(errno));
}

// Arguments. They answer for what is wrong with them.

static char *next_word(char **rest) { return strtok_r(NULL, " ", rest); }

static bool end_of_words(char **rest) {
  if (!next_word(rest)) return true;
  answer("error too many arguments");
  return false;
}

static bool parse_number(const char *word, long least, long most, long *number) {
  if (word && isdigit((unsigned char)*word)) {
    char *end;
    errno = 0;
    *number = strtol(word, &end, 10);
    if (*end == '\0' && errno == 0 && *number >= least && *number <= most) return true;
  }
  answer("error not a number between %ld and %ld", least, most);
  return false;
}

static bool is_held(long fd) { return fd >= 0 && fd < held_count && held[fd].open; }

static bool parse_held(const char *word, int *fd) {
  long number;
  if (!parse_number(word, 0, 0x7fffffff, &number)) return false;
  if (!is_held(number)) {
    answer("error %ld was not opened here", number);
    return false;
  }
  *fd = (int)number;
  return true;
}

static const struct kind *parse_kind(const char *word) {
  const struct kind *kind = word ? find_kind(word) : NULL;
  if (!kind) answer("error unknown kind");
  return kind;
}

/// The bytes, to be freed, with a NUL behind them.
static char *parse_hex(const char *word, size_t *length) {
  size_t digits = word ? strlen(word) : 0;
  if (digits == 0 || digits % 2 != 0 || strspn(word, "0123456789abcdefABCDEF") != digits) {
    answer("error not pairs of hexadecimal digits");
    return NULL;
  }
  char *bytes = must(calloc(1, digits / 2 + 1));
  for (size_t i = 0; i < digits / 2; i++) {
    char pair[] = {word[2 * i], word[2 * i + 1], '\0'};
    bytes[i] = (char)strtol(pair, NULL, 16);
  }
  *length = digits / 2;
  return bytes;
}

/// The path of a raw name in the temporary directory, to be freed.
static char *parse_path(const char *word) {
  size_t length;
  char *name = parse_hex(word, &length);
  if (!name) return NULL;
  char *path = NULL;
  if (memchr(name, '\0', length) || memchr(name, '/', length)) {
    answer("error a name has neither NUL nor slash");
  } else if (!(path = temp_path(name))) {
    answer_error("temporary directory");
  }
  free(name);
  return path;
}

// What is held.

/// Takes over `path`, which may be NULL.
static void hold(int fd, char *path) {
  if (fd >= held_count) {
    int count = fd * 2 > 256 ? fd * 2 : 256;
    held = must(realloc(held, (size_t)count * sizeof *held));
    memset(held + held_count, 0, (size_t)(count - held_count) * sizeof *held);
    held_count = count;
  }
  free(held[fd].path);
  held[fd] = (struct held){.open = true, .path = path};
}

static void release(int fd) {
  close(fd);
  free(held[fd].path);
  held[fd] = (struct held){0};
}

/// Of a command that failed: as if it had not begun.
static void undo(const int *fds, long count) {
  int saved = errno;
  for (long i = 0; i < count; i++) {
    if (held[fds[i]].path) remove(held[fds[i]].path);
    release(fds[i]);
  }
  errno = saved;
}

static char *copy(const char *path) { return path ? must(strdup(path)) : NULL; }

/// All descriptors of one path follow it to another one, or, if that is NULL, have none.
static void move_paths(const char *from, const char *to) {
  char *key = copy(from);
  for (int fd = 0; fd < held_count; fd++) {
    if (!held[fd].path || strcmp(held[fd].path, key) != 0) continue;
    free(held[fd].path);
    held[fd].path = copy(to);
  }
  free(key);
}

// Commands.

/// More is never asked for: a limit of the kernel stands before it.
static const long most_descriptors = 1 << 20;

static void do_open(char **rest) {
  const struct kind *kind = parse_kind(next_word(rest));
  long wanted;
  if (!kind || !parse_number(next_word(rest), 1, most_descriptors, &wanted) || !end_of_words(rest)) return;
  if (kind->inseparable && wanted % 2 != 0) {
    answer("error %s comes in pairs: an even number", kind->name);
    return;
  }
  int *fds = must(calloc((size_t)wanted, sizeof *fds));
  long count = 0;
  bool good = true;
  while (good && count < wanted) {
    struct made made;
    good = kind->make(&made) == 0;
    if (!good) break;
    hold(made.fd[0], made.path);
    fds[count++] = made.fd[0];
    if (made.count == 2 && count < wanted) {
      hold(made.fd[1], NULL);
      fds[count++] = made.fd[1];
    } else if (made.count == 2) {
      close(made.fd[1]);
    }
  }
  if (good) {
    answer_numbers(fds, count);
  } else {
    undo(fds, count);
    answer_unmade(kind->name);
  }
  free(fds);
}

static void do_close(char **rest) {
  int *fds = NULL;
  size_t count = 0;
  bool good = true;
  for (char *word; good && (word = next_word(rest));) {
    fds = must(realloc(fds, (count + 1) * sizeof *fds));
    good = parse_held(word, &fds[count]);
    count += good;
  }
  if (good && count == 0) {
    answer("error close what?");
  } else if (good) {
    for (size_t i = 0; i < count; i++) {
      // The same number may stand there twice.
      if (is_held(fds[i])) release(fds[i]);
    }
    answer("ok");
  }
  free(fds);
}

static void do_dup(char **rest) {
  int source;
  long wanted;
  if (!parse_held(next_word(rest), &source)) return;
  if (!parse_number(next_word(rest), 1, most_descriptors, &wanted) || !end_of_words(rest)) return;
  int *fds = must(calloc((size_t)wanted, sizeof *fds));
  long count = 0;
  while (count < wanted) {
    int fd = fcntl(source, F_DUPFD_CLOEXEC, 3);
    if (fd < 0) break;
    // The path is the source's: it is added when nothing can be undone any more.
    hold(fd, NULL);
    fds[count++] = fd;
  }
  if (count == wanted) {
    for (long i = 0; i < count; i++) held[fds[i]].path = copy(held[source].path);
    answer_numbers(fds, count);
  } else {
    undo(fds, count);
    answer_error("dup");
  }
  free(fds);
}

static void do_reuse(char **rest) {
  int fd;
  if (!parse_held(next_word(rest), &fd)) return;
  const struct kind *kind = parse_kind(next_word(rest));
  if (!kind || !end_of_words(rest)) return;
  if (kind->inseparable) {
    answer("error %s comes in pairs", kind->name);
    return;
  }
  struct made made;
  if (kind->make(&made) != 0) {
    answer_unmade(kind->name);
    return;
  }
  if (made.count == 2) close(made.fd[1]);
  // dup3 closes the old one itself: were the number free for a moment, a churning thread could take it.
  if (dup3(made.fd[0], fd, O_CLOEXEC) < 0) {
    hold(made.fd[0], made.path);
    undo(made.fd, 1);
    answer_error("dup3");
    return;
  }
  close(made.fd[0]);
  hold(fd, made.path);
  answer("ok %d", fd);
}

static void do_name(char **rest) {
  size_t length;
  char *name = parse_hex(next_word(rest), &length);
  if (!name) return;
  if (end_of_words(rest)) {
    if (prctl(PR_SET_NAME, name) == 0) {
      answer("ok");
    } else {
      answer_error("name");
    }
  }
  free(name);
}

static void do_path(char **rest) {
  char *path = parse_path(next_word(rest));
  if (!path) return;
  if (!end_of_words(rest)) {
    free(path);
    return;
  }
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    answer_error("path");
    free(path);
    return;
  }
  hold(fd, path);
  answer("ok %d", fd);
}

static bool parse_named(const char *word, int *fd) {
  if (!parse_held(word, fd)) return false;
  if (!held[*fd].path) answer("error %d has no path", *fd);
  return held[*fd].path;
}

static void do_rename(char **rest) {
  int fd;
  if (!parse_named(next_word(rest), &fd)) return;
  char *path = parse_path(next_word(rest));
  if (!path) return;
  if (end_of_words(rest)) {
    if (rename(held[fd].path, path) == 0) {
      // What it may have replaced has no name any more.
      if (strcmp(held[fd].path, path) != 0) move_paths(path, NULL);
      move_paths(held[fd].path, path);
      answer("ok");
    } else {
      answer_error("rename");
    }
  }
  free(path);
}

static void do_unlink(char **rest) {
  int fd;
  if (!parse_named(next_word(rest), &fd) || !end_of_words(rest)) return;
  if (remove(held[fd].path) == 0) {
    move_paths(held[fd].path, NULL);
    answer("ok");
  } else {
    answer_error("unlink");
  }
}

static void do_write(char **rest) {
  int fd;
  long count;
  if (!parse_held(next_word(rest), &fd) || !parse_number(next_word(rest), 0, 1L << 30, &count)) return;
  if (!end_of_words(rest)) return;
  struct stat status;
  // Anything else could block, and the protocol with it.
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    answer("error %d is not a regular file", fd);
    return;
  }
  static const char bytes[1 << 16];
  while (count > 0) {
    ssize_t written = write(fd, bytes, (size_t)count < sizeof bytes ? (size_t)count : sizeof bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      answer_error("write");
      return;
    }
    count -= written;
  }
  answer("ok");
}

static void do_drop(char **rest) {
  long id;
  if (!parse_number(next_word(rest), 0, 0xfffffffeL, &id) || !end_of_words(rest)) return;
  if (setgroups(0, NULL) != 0 || chown_temp_dir((unsigned)id) != 0 || setresgid((gid_t)id, (gid_t)id, (gid_t)id) != 0
      || setresuid((uid_t)id, (uid_t)id, (uid_t)id) != 0) {
    answer_error("drop");
    return;
  }
  // The kernel has reset it: other processes of the same user may look.
  if (prctl(PR_SET_DUMPABLE, 1) == 0) {
    answer("ok");
  } else {
    answer_error("dumpable");
  }
}

static void do_undumpable(char **rest) {
  if (!end_of_words(rest)) return;
  if (prctl(PR_SET_DUMPABLE, 0) == 0) {
    answer("ok");
  } else {
    answer_error("undumpable");
  }
}

/// Waits for SIGUSR1. SIGUSR2 says that the thread that forked is gone: the process still may be there (main-exit).
static _Noreturn void live_as_child(pid_t parent, const sigset_t *signals) {
  prctl(PR_SET_PDEATHSIG, SIGUSR2);
  while (getppid() == parent) {
    if (sigwaitinfo(signals, NULL) == SIGUSR1) break;
  }
  _exit(0);
}

static void do_fork(char **rest) {
  if (!end_of_words(rest)) return;
  sigset_t signals;
  sigset_t before;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  sigaddset(&signals, SIGUSR2);
  // Before the fork: the child must not miss one, nor die of it.
  pthread_sigmask(SIG_BLOCK, &signals, &before);
  struct child *child = must(malloc(sizeof *child));
  pid_t parent = getpid();
  pid_t pid = fork();
  if (pid == 0) live_as_child(parent, &signals);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (pid < 0) {
    free(child);
    answer_error("fork");
    return;
  }
  *child = (struct child){.pid = pid, .next = children};
  children = child;
  answer("child %d", (int)pid);
}

/// Where the child stands in the list, so that it can be taken out.
static struct child **parse_child(const char *word) {
  long pid;
  if (!parse_number(word, 1, 0x7fffffff, &pid)) return NULL;
  for (struct child **link = &children; *link; link = &(*link)->next) {
    if ((*link)->pid == pid) return link;
  }
  answer("error %ld is not a child", pid);
  return NULL;
}

static void do_child_exit(char **rest) {
  struct child **link = parse_child(next_word(rest));
  if (!link || !end_of_words(rest)) return;
  pid_t pid = (*link)->pid;
  siginfo_t info;
  if (kill(pid, SIGUSR1) == 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0) {
    answer("ok");
  } else {
    answer_error("child-exit");
  }
}

static void do_reap(char **rest) {
  struct child **link = parse_child(next_word(rest));
  if (!link || !end_of_words(rest)) return;
  struct child *child = *link;
  pid_t reaped = waitpid(child->pid, NULL, WNOHANG);
  if (reaped == 0) {
    answer("error %d has not exited", (int)child->pid);
  } else if (reaped < 0) {
    answer_error("reap");
  } else {
    *link = child->next;
    free(child);
    answer("ok");
  }
}

static void do_limit(char **rest) {
  long soft;
  struct rlimit limit;
  if (!parse_number(next_word(rest), 0, most_descriptors * 1024, &soft) || !end_of_words(rest)) return;
  bool good = getrlimit(RLIMIT_NOFILE, &limit) == 0;
  limit.rlim_cur = (rlim_t)soft;
  if (good && setrlimit(RLIMIT_NOFILE, &limit) == 0) {
    answer("ok");
  } else {
    answer_error("limit");
  }
}

static long milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000L + now.tv_nsec / 1000000;
}

static void *churn(void *argument) {
  long end = milliseconds() + (long)argument;
  unsigned long count = 0;
  while (milliseconds() < end) {
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    close(fd);
    count++;
  }
  // Before the line: who has read it may ask for the next one.
  atomic_store(&churning, false);
  answer("churned %lu", count);
  return NULL;
}

/// Starts a thread that nobody joins.
static int start(void *(*body)(void *), void *argument) {
  pthread_t thread;
  int error = pthread_create(&thread, NULL, body, argument);
  if (error == 0) pthread_detach(thread);
  return error;
}

/// What a leak was asked to do.
struct leak {
  const struct kind *kind;
  long pause;
  long count;
};

/// The pace is the point: what watches it needs time to see it grow.
static void *leak(void *argument) {
  struct leak *order = argument;
  long made_count = 0;
  struct made made;
  while (made_count < order->count && order->kind->make(&made) == 0) {
    made_count += made.count;
    // Its descriptors are nobody's: they stay open until the process ends.
    free(made.path);
    const struct timespec pause = {order->pause / 1000, order->pause % 1000 * 1000000};
    nanosleep(&pause, NULL);
  }
  free(order);
  answer("leaked %ld", made_count);
  return NULL;
}

static void do_leak(char **rest) {
  struct leak *order = must(calloc(1, sizeof *order));
  order->kind = parse_kind(next_word(rest));
  if (!order->kind || !parse_number(next_word(rest), 0, 3600000, &order->pause)
      || !parse_number(next_word(rest), 1, most_descriptors, &order->count) || !end_of_words(rest)) {
    free(order);
    return;
  }
  flockfile(stdout);
  errno = start(leak, order);
  if (errno == 0) {
    answer("ok");
  } else {
    free(order);
    answer_error("leak");
  }
  funlockfile(stdout);
}

static void do_churn(char **rest) {
  long duration;
  if (!parse_number(next_word(rest), 0, 3600000, &duration) || !end_of_words(rest)) return;
  if (atomic_exchange(&churning, true)) {
    answer("error churning already");
    return;
  }
  // With the lock: the thread's line must come after this one.
  flockfile(stdout);
  errno = start(churn, (void *)duration);
  if (errno == 0) {
    answer("ok");
  } else {
    atomic_store(&churning, false);
    answer_error("churn");
  }
  funlockfile(stdout);
}

static void do_exit(char **rest) {
  long code;
  if (parse_number(next_word(rest), 0, 255, &code) && end_of_words(rest)) leave((int)code);
}

static const struct {
  const char *name;
  void (*run)(char **rest);
} commands[] = {
  {"open", do_open},
  {"close", do_close},
  {"dup", do_dup},
  {"reuse", do_reuse},
  {"name", do_name},
  {"path", do_path},
  {"rename", do_rename},
  {"unlink", do_unlink},
  {"write", do_write},
  {"drop", do_drop},
  {"undumpable", do_undumpable},
  {"fork", do_fork},
  {"child-exit", do_child_exit},
  {"reap", do_reap},
  {"limit", do_limit},
  {"churn", do_churn},
  {"leak", do_leak},
  {"exit", do_exit},
};

/// Serves until a `main-exit`, for which the caller has to see. Does not return otherwise.
static void serve(void) {
  char *line = NULL;
  size_t size = 0;
  for (;;) {
    ssize_t length = getline(&line, &size, stdin);
    if (length < 0) leave(0);
    if (line[length - 1] == '\n') line[--length] = '\0';
    if (strlen(line) != (size_t)length) {
      answer("error a line has no NUL");
      continue;
    }
    char *rest;
    char *word = strtok_r(line, " ", &rest);
    if (!word) {
      answer("error empty command");
      continue;
    }
    if (strcmp(word, "main-exit") == 0) {
      if (!end_of_words(&rest)) continue;
      break;
    }
    size_t i = 0;
    while (i < sizeof commands / sizeof *commands && strcmp(commands[i].name, word) != 0) i++;
    if (i < sizeof commands / sizeof *commands) {
      commands[i].run(&rest);
    } else {
      answer("error unknown command");
    }
  }
  free(line);
}

/// Whether a thread has gone, or is the main thread and a zombie. Joining it is not enough: its descriptors go away after
/// that.
static bool has_left(pid_t thread) {
  char path[64];
  char text[256];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  // At the limit of descriptors nothing can be seen.
  if (fd < 0) return errno == ENOENT;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return true;
  text[length] = '\0';
  // The state stands after the name, which may contain anything.
  const char *parenthesis = strrchr(text, ')');
  return parenthesis && parenthesis[1] == ' ' && parenthesis[2] == 'Z';
}

static void *take_over(void *argument);

/// Serves until it is to leave, and then in another thread.
static void serve_and_hand_over(void) {
  for (;;) {
    serve();
    leaving = (pid_t)syscall(SYS_gettid);
    errno = start(take_over, NULL);
    if (errno == 0) return;
    answer_error("main-exit");
  }
}

static void *take_over(void *argument) {
  (void)argument;
  const struct timespec millisecond = {.tv_nsec = 1000000};
  // Not for ever.
  int tries = 2000;
  while (!has_left(leaving) && --tries > 0) nanosleep(&millisecond, NULL);
  if (tries > 0) {
    answer("ok");
  } else {
    answer("error the thread was not seen to exit");
  }
  serve_and_hand_over();
  return NULL;
}

int main(void) {
  // A failed write tells as much, and leaves the time to remove the temporary directory.
  signal(SIGPIPE, SIG_IGN);
#ifdef SYS_close_range
  syscall(SYS_close_range, 3, ~0U, 0);
#endif
  answer("ready %d", (int)getpid());
  serve_and_hand_over();
  pthread_exit(NULL);
}
