// SPDX-License-Identifier: Apache-2.0
// Makes one descriptor, or one pair, of a kind that has a name. Whatever is made has FD_CLOEXEC set.

#define _GNU_SOURCE
#include "kinds.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

// Not in the headers of every distribution that can build this.
#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif
#ifndef FAN_REPORT_FID
#define FAN_REPORT_FID 0x200
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

static char *directory_path;

const char *temp_dir(void) {
  if (directory_path) return directory_path;
  const char *base = getenv("TMPDIR");
  char *path = NULL;
  if (asprintf(&path, "%s/fdfactory-XXXXXX", base && *base ? base : "/tmp") < 0) return NULL;
  if (!mkdtemp(path)) {
    int saved = errno;
    free(path);
    errno = saved;
    return NULL;
  }
  return directory_path = path;
}

int chown_temp_dir(unsigned id) {
  return directory_path ? chown(directory_path, id, id) : 0;
}

void remove_temp_dir(void) {
  if (!directory_path) return;
  DIR *directory = opendir(directory_path);
  if (directory) {
    // Nothing puts anything into a directory in there, so one level is all.
    for (struct dirent *entry; (entry = readdir(directory));) {
      if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
      if (unlinkat(dirfd(directory), entry->d_name, 0) != 0) unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR);
    }
    closedir(directory);
  }
  rmdir(directory_path);
  free(directory_path);
  directory_path = NULL;
}

char *temp_path(const char *name) {
  const char *directory = temp_dir();
  char *path = NULL;
  if (!directory || asprintf(&path, "%s/%s", directory, name) < 0) return NULL;
  return path;
}

/// A path that was not used before: what one command makes must not be what another one renames.
static char *fresh_path(const char *prefix) {
  static unsigned long counter;
  char name[64];
  snprintf(name, sizeof name, "%s-%lu", prefix, ++counter);
  return temp_path(name);
}

/// Closes without losing the errno that is to be reported.
static void discard(int fd) {
  int saved = errno;
  if (fd >= 0) close(fd);
  errno = saved;
}

static int one(struct made *made, int fd) {
  if (fd < 0) return -1;
  made->fd[0] = fd;
  made->count = 1;
  made->path = NULL;
  return 0;
}

static int two(struct made *made, int first, int second) {
  made->fd[0] = first;
  made->fd[1] = second;
  made->count = 2;
  made->path = NULL;
  return 0;
}

/// One descriptor that has a path, which is freed if there is no descriptor.
static int named(struct made *made, int fd, char *path) {
  if (one(made, fd) == 0) {
    made->path = path;
    return 0;
  }
  int saved = errno;
  free(path);
  errno = saved;
  return -1;
}

// Files.

static int make_file(struct made *made) {
  char *path = fresh_path("file");
  return path ? named(made, open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), path) : -1;
}

static int make_file_deleted(struct made *made) {
  if (make_file(made) != 0) return -1;
  int result = unlink(made->path);
  if (result != 0) discard(made->fd[0]);
  int saved = errno;
  free(made->path);
  made->path = NULL;
  errno = saved;
  return result;
}

static int make_tmpfile(struct made *made) {
  const char *directory = temp_dir();
  return directory ? one(made, open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)) : -1;
}

static int make_directory_with(struct made *made, int flags) {
  char *path = fresh_path("directory");
  if (!path) return -1;
  return named(made, mkdir(path, 0700) == 0 ? open(path, O_RDONLY | O_CLOEXEC | flags) : -1, path);
}

static int make_directory(struct made *made) { return make_directory_with(made, O_DIRECTORY); }

static int make_directory_plain(struct made *made) { return make_directory_with(made, 0); }

static int make_fifo(struct made *made) {
  char *path = fresh_path("fifo");
  if (!path) return -1;
  // For reading and writing: no other end needs to be there.
  return named(made, mkfifo(path, 0600) == 0 ? open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC) : -1, path);
}

static int make_device(struct made *made) { return one(made, open("/dev/null", O_RDWR | O_CLOEXEC)); }

static int make_memfd(struct made *made) { return one(made, memfd_create("fdfactory", MFD_CLOEXEC)); }

static int make_pipe(struct made *made) {
  int ends[2];
  return pipe2(ends, O_CLOEXEC) == 0 ? two(made, ends[0], ends[1]) : -1;
}

static int make_pty(struct made *made) {
  int primary = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (primary < 0) return -1;
  int unlocked = 0;
  int secondary = -1;
  // Not by its name: that would ask for devpts at its usual place.
  if (ioctl(primary, TIOCSPTLCK, &unlocked) == 0) {
    secondary = ioctl(primary, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  }
  if (secondary < 0) {
    discard(primary);
    return -1;
  }
  return two(made, primary, secondary);
}

// Sockets. Those of one's own choice are bound: the kernel's tables do not list them before.

/// Takes the socket over: closes it if a step failed.
static int checked(struct made *made, int fd, bool good) {
  if (fd >= 0 && good) return one(made, fd);
  discard(fd);
  return -1;
}

static bool bind_loopback(int fd) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  return bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
}

static int make_tcp_listen(struct made *made) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return checked(made, fd, fd >= 0 && bind_loopback(fd) && listen(fd, 1) == 0);
}

static int make_tcp_unbound(struct made *made) { return one(made, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

static int make_tcp6(struct made *made) {
  struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return checked(
    made, fd, fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0);
}

static int make_tcp_established(struct made *made) {
  struct made listener;
  if (make_tcp_listen(&listener) != 0) return -1;
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  int near = -1;
  int far = -1;
  if (getsockname(listener.fd[0], (struct sockaddr *)&address, &length) == 0
      && (near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0
      && connect(near, (struct sockaddr *)&address, length) == 0) {
    far = accept4(listener.fd[0], NULL, NULL, SOCK_CLOEXEC);
  }
  discard(listener.fd[0]);
  if (far < 0) {
    discard(near);
    return -1;
  }
  return two(made, near, far);
}

static int make_tcp_close_wait(struct made *made) {
  struct made pair;
  if (make_tcp_established(&pair) != 0) return -1;
  close(pair.fd[1]);
  // The end of the stream has been read: the state has changed, and nobody needs to wait for it.
  char byte;
  return checked(made, pair.fd[0], recv(pair.fd[0], &byte, 1, 0) == 0);
}

static int make_udp(struct made *made) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return checked(made, fd, fd >= 0 && bind_loopback(fd));
}

static int make_udp_connected(struct made *made) {
  struct sockaddr_in discard_service = {
    .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return checked(
    made, fd, fd >= 0 && connect(fd, (struct sockaddr *)&discard_service, sizeof discard_service) == 0);
}

static int make_unix(struct made *made) { return one(made, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

static int make_unix_listen(struct made *made) {
  char *path = fresh_path("socket");
  if (!path) return -1;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = -1;
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
  } else {
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0)) {
      discard(fd);
      fd = -1;
    }
  }
  return named(made, fd, path);
}

static int make_unix_connected(struct made *made) {
  int ends[2];
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0 ? two(made, ends[0], ends[1]) : -1;
}

static int make_netlink(struct made *made) {
  struct sockaddr_nl address = {.nl_family = AF_NETLINK};
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  return checked(made, fd, fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
}

static int make_socket(struct made *made) {
  // Protocol 0 receives nothing. The fallbacks are for who may not: AF_ALG needs no privilege, only a kernel with it.
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0 && errno != EMFILE && errno != ENFILE) fd = socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0 && errno != EMFILE && errno != ENFILE) fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
  return one(made, fd);
}

// Anonymous inodes. By number where the C library has no function, or only a recent one has.

static int make_eventfd(struct made *made) { return one(made, eventfd(0, EFD_CLOEXEC)); }

static int make_eventpoll(struct made *made) { return one(made, epoll_create1(EPOLL_CLOEXEC)); }

static int make_timerfd(struct made *made) { return one(made, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)); }

static int make_signalfd(struct made *made) {
  sigset_t none;
  sigemptyset(&none);
  return one(made, signalfd(-1, &none, SFD_CLOEXEC));
}

static int make_inotify(struct made *made) { return one(made, inotify_init1(IN_CLOEXEC)); }

static int make_fanotify(struct made *made) {
  int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY);
  // What everyone may have since Linux 5.13.
  if (fd < 0 && errno == EPERM) fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_REPORT_FID, O_RDONLY);
  return one(made, fd);
}

static int make_pidfd(struct made *made) {
  // Of itself; the kernel sets FD_CLOEXEC.
  return one(made, (int)syscall(SYS_pidfd_open, getpid(), 0));
}

static int make_io_uring(struct made *made) {
  struct io_uring_params parameters = {0};
  // The kernel sets FD_CLOEXEC.
  return one(made, (int)syscall(SYS_io_uring_setup, 1, &parameters));
}

static int make_userfaultfd(struct made *made) {
  int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
  if (fd < 0 && errno == EPERM) fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
  return one(made, fd);
}

static int make_bpf(struct made *made) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.map_type = BPF_MAP_TYPE_ARRAY;
  attributes.key_size = 4;
  attributes.value_size = 4;
  attributes.max_entries = 1;
  // The kernel sets FD_CLOEXEC.
  return one(made, (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes));
}

static int make_perf_event(struct made *made) {
  struct perf_event_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.size = sizeof attributes;
  attributes.config = PERF_COUNT_SW_DUMMY;
  attributes.disabled = 1;
  attributes.exclude_kernel = 1;
  return one(made, (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

static const struct kind kinds[] = {
  {"file", make_file, false},
  {"file-deleted", make_file_deleted, false},
  {"tmpfile", make_tmpfile, false},
  {"directory", make_directory, false},
  {"directory-plain", make_directory_plain, false},
  {"fifo", make_fifo, false},
  {"device", make_device, false},
  {"memfd", make_memfd, false},
  {"pipe", make_pipe, false},
  {"pty", make_pty, false},
  {"tcp", make_tcp_listen, false},
  {"tcp-listen", make_tcp_listen, false},
  {"tcp-unbound", make_tcp_unbound, false},
  {"tcp-established", make_tcp_established, true},
  {"tcp-close-wait", make_tcp_close_wait, false},
  {"tcp6", make_tcp6, false},
  {"udp", make_udp, false},
  {"udp-connected", make_udp_connected, false},
  {"unix", make_unix, false},
  {"unix-listen", make_unix_listen, false},
  {"unix-connected", make_unix_connected, true},
  {"netlink", make_netlink, false},
  {"socket", make_socket, false},
  {"eventfd", make_eventfd, false},
  {"eventpoll", make_eventpoll, false},
  {"timerfd", make_timerfd, false},
  {"signalfd", make_signalfd, false},
  {"inotify", make_inotify, false},
  {"fanotify", make_fanotify, false},
  {"pidfd", make_pidfd, false},
  {"io_uring", make_io_uring, false},
  {"userfaultfd", make_userfaultfd, false},
  {"bpf", make_bpf, false},
  {"perf_event", make_perf_event, false},
};

const struct kind *find_kind(const char *name) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
  }
  return NULL;
}
