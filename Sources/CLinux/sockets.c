// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// Closes what could not be set up, and keeps the errno that tells why.
static int fail(int descriptor) {
  int why = errno;
  if (descriptor >= 0) close(descriptor);
  errno = why;
  return -1;
}

static int fill(struct sockaddr_un *address, const char *path, socklen_t *length) {
  size_t count = strlen(path);
  if (count == 0 || count >= sizeof address->sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  memcpy(address->sun_path, path, count);
  *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + count + 1);
  return 0;
}

int fdwatch_listen_unix(const char *path, int is_datagram, unsigned mode) {
  struct sockaddr_un address;
  socklen_t length;
  if (fill(&address, path, &length) != 0) return -1;
  int type = is_datagram ? SOCK_DGRAM : SOCK_STREAM;
  int descriptor = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return -1;
  // A socket file that was left behind refuses connections; one on which somebody listens is not taken away.
  int probe = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return fail(descriptor);
  if (connect(probe, (struct sockaddr *)&address, length) == 0 || errno == EAGAIN) {
    close(probe);
    errno = EADDRINUSE;
    return fail(descriptor);
  }
  if (errno == ECONNREFUSED) unlink(path);
  close(probe);
  // Between bind and chmod nobody else may connect.
  mode_t before = umask(0777);
  int bound = bind(descriptor, (struct sockaddr *)&address, length);
  umask(before);
  if (bound != 0 || chmod(path, mode) != 0) return fail(descriptor);
  int on = 1;
  if (is_datagram && setsockopt(descriptor, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) return fail(descriptor);
  if (!is_datagram && listen(descriptor, 16) != 0) return fail(descriptor);
  return descriptor;
}

int fdwatch_listen_tcp(const char *text, uint16_t port) {
  struct sockaddr_storage address;
  memset(&address, 0, sizeof address);
  struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
  socklen_t length;
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    length = sizeof *v4;
  } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    length = sizeof *v6;
  } else {
    errno = EINVAL;
    return -1;
  }
  int descriptor = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return -1;
  int on = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(descriptor, (struct sockaddr *)&address, length) != 0 || listen(descriptor, 16) != 0) return fail(descriptor);
  return descriptor;
}

int fdwatch_connect_unix(const char *path, int timeout_ms) {
  struct sockaddr_un address;
  socklen_t length;
  if (fill(&address, path, &length) != 0) return -1;
  int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  struct timeval limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
  setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (connect(descriptor, (struct sockaddr *)&address, length) != 0) return fail(descriptor);
  return descriptor;
}

int fdwatch_send_unix(const char *path, const void *bytes, size_t count) {
  struct sockaddr_un address;
  socklen_t length;
  if (fill(&address, path, &length) != 0) return -1;
  int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return -1;
  if (sendto(descriptor, bytes, count, MSG_NOSIGNAL, (struct sockaddr *)&address, length) < 0) return fail(descriptor);
  close(descriptor);
  return 0;
}

int fdwatch_accept(int descriptor) { return accept4(descriptor, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK); }

int fdwatch_is_unix_socket(int descriptor) {
  int domain = 0;
  socklen_t size = sizeof domain;
  return getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

ssize_t fdwatch_receive(int descriptor, void *buffer, size_t size, int *pid, uint32_t *user, int is_peek) {
  struct iovec vector = {buffer, size};
  union {
    struct cmsghdr header;
    // For the credentials alone: descriptors that a sender puts in then never reach our table, and the kernel lets go of
    // them without closing them in our name, which a file system of his own could let hang.
    char room[CMSG_SPACE(sizeof(struct ucred))];
  } control;
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  int flags = MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC | (is_peek ? MSG_PEEK : 0);
  ssize_t count = recvmsg(descriptor, &message, flags);
  if (count < 0) return -1;
  *pid = 0;
  *user = UINT32_MAX;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET) continue;
    if (c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len >= CMSG_LEN(sizeof(struct ucred))) {
      struct ucred who;
      memcpy(&who, CMSG_DATA(c), sizeof who);
      *pid = who.pid;
      *user = who.uid;
    }
  }
  return count;
}
