// SPDX-License-Identifier: Apache-2.0
// Messages between the daemon and its helper, with descriptors: SOCK_SEQPACKET of unix(7), SCM_RIGHTS.
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int fdwatch_packet_pair(int numbers[2]) { return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, numbers); }

int fdwatch_connect_packets(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t count = strlen(path);
  if (count == 0 || count >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(address.sun_path, path, count);
  int descriptor = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return -1;
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0 &&
      getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
    if (peer.uid == 0) return descriptor;
    errno = EACCES;
  }
  int why = errno;
  close(descriptor);
  errno = why;
  return -1;
}

ssize_t fdwatch_send_packet(int socket, const void *bytes, size_t count, const int *descriptors, int descriptor_count) {
  struct iovec vector = {(void *)bytes, count};
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(FDWATCH_PACKET_DESCRIPTORS * sizeof(int))];
  } control;
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  if (descriptor_count > FDWATCH_PACKET_DESCRIPTORS) {
    errno = EINVAL;
    return -1;
  }
  if (descriptor_count > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE((size_t)descriptor_count * sizeof(int));
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN((size_t)descriptor_count * sizeof(int));
    memcpy(CMSG_DATA(rights), descriptors, (size_t)descriptor_count * sizeof(int));
  }
  return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

ssize_t fdwatch_receive_packet(int socket, void *bytes, size_t size, int *descriptors, int *descriptor_count) {
  struct iovec vector = {bytes, size};
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(FDWATCH_PACKET_DESCRIPTORS * sizeof(int))];
  } control;
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  *descriptor_count = 0;
  // Whoever wants none leaves no room for any: the kernel then gives us none.
  if (descriptors) {
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
  }
  ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0) return -1;
  for (struct cmsghdr *c = descriptors ? CMSG_FIRSTHDR(&message) : NULL; c; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    int count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < count; i++) {
      int number;
      memcpy(&number, CMSG_DATA(c) + (size_t)i * sizeof number, sizeof number);
      if (*descriptor_count < FDWATCH_PACKET_DESCRIPTORS)
        descriptors[(*descriptor_count)++] = number;
      else
        close(number);
    }
  }
  if (message.msg_flags & MSG_TRUNC) {
    for (int i = 0; i < *descriptor_count; i++) close(descriptors[i]);
    *descriptor_count = 0;
    errno = EMSGSIZE;
    return -1;
  }
  return got;
}

int fdwatch_end_on_hangup(int socket, int on) {
  int flags = fcntl(socket, F_GETFL);
  if (flags < 0) return -1;
  if (!on) return fcntl(socket, F_SETFL, flags & ~O_ASYNC);
  signal(SIGIO, SIG_DFL);
  sigset_t io;
  sigemptyset(&io);
  sigaddset(&io, SIGIO);
  sigprocmask(SIG_UNBLOCK, &io, NULL);
  if (fcntl(socket, F_SETOWN, getpid()) != 0 || fcntl(socket, F_SETFL, flags | O_ASYNC) != 0) return -1;
  // It may have happened just before.
  struct pollfd hangup = {.fd = socket};
  if (poll(&hangup, 1, 0) > 0 && hangup.revents & (POLLHUP | POLLERR)) raise(SIGIO);
  return 0;
}
