// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int connected(const struct sockaddr *address, socklen_t length, int timeout_ms) {
  int descriptor = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  struct timeval limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
  // connect(2) waits for as long as a send may: see socket(7), SO_SNDTIMEO.
  setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  int on = 1;
  if (address->sa_family != AF_UNIX) setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  if (connect(descriptor, address, length) == 0) return descriptor;
  int why = errno;
  close(descriptor);
  errno = why;
  return -1;
}

int fdwatch_connect_abstract(const void *name, size_t count, int timeout_ms) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (count >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(address.sun_path + 1, name, count);
  return connected((struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + count),
                   timeout_ms);
}

int fdwatch_connect_tcp(const char *text, uint16_t port, int timeout_ms) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
    return connected((struct sockaddr *)&v4, sizeof v4, timeout_ms);
  }
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
    return connected((struct sockaddr *)&v6, sizeof v6, timeout_ms);
  }
  errno = EINVAL;
  return -1;
}

int fdwatch_unix_peer(int descriptor, uint32_t *user, void *name, size_t size) {
  struct ucred who;
  socklen_t length = sizeof who;
  if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &who, &length) != 0) return -1;
  struct sockaddr_un address;
  memset(&address, 0, sizeof address);
  length = sizeof address;
  if (getpeername(descriptor, (struct sockaddr *)&address, &length) != 0) return -1;
  *user = who.uid;
  size_t offset = offsetof(struct sockaddr_un, sun_path);
  size_t count = length > offset ? length - offset : 0;
  if (count > sizeof address.sun_path) count = sizeof address.sun_path;
  if (count > size) count = size;
  memcpy(name, address.sun_path, count);
  return (int)count;
}

int fdwatch_resolve(const char *name, void *texts, int most) {
  char (*addresses)[46] = texts;
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  struct addrinfo *found = NULL;
  int error = getaddrinfo(name, NULL, &hints, &found);
  if (error != 0) return -1;
  int count = 0;
  for (struct addrinfo *entry = found; entry && count < most; entry = entry->ai_next) {
    const void *bytes = entry->ai_family == AF_INET    ? (void *)&((struct sockaddr_in *)entry->ai_addr)->sin_addr
                        : entry->ai_family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)entry->ai_addr)->sin6_addr
                                                       : NULL;
    if (bytes && inet_ntop(entry->ai_family, bytes, addresses[count], 46)) count++;
  }
  freeaddrinfo(found);
  return count;
}
