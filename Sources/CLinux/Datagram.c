// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static ssize_t send_file(int number, struct msghdr *message, const void *bytes, size_t size) {
  int file = fdwatch_memory_file("message", bytes, size);
  if (file < 0) return -1;
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control;
  memset(&control, 0, sizeof control);
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(&control.header), &file, sizeof file);
  message->msg_iov = NULL;
  message->msg_iovlen = 0;
  message->msg_control = &control;
  message->msg_controllen = sizeof control;
  ssize_t sent = sendmsg(number, message, MSG_NOSIGNAL | MSG_DONTWAIT);
  int error = errno;
  close(file);
  errno = error;
  return sent;
}

int fdwatch_send_datagram(const char *path, const void *bytes, size_t size) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) return -ENAMETOOLONG;
  strcpy(address.sun_path, path);
  int number = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (number < 0) return -errno;
  struct iovec vector = {(void *)bytes, size};
  struct msghdr message = {
      .msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &vector, .msg_iovlen = 1};
  ssize_t sent = sendmsg(number, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  // Too large for the socket's buffer, or for the kernel in one piece.
  if (sent < 0 && (errno == EMSGSIZE || errno == ENOBUFS)) sent = send_file(number, &message, bytes, size);
  int error = sent < 0 ? -errno : 0;
  close(number);
  return error;
}
