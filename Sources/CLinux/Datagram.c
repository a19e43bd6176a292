// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/// The bytes in a memory file that can never change again, or -1 with errno.
static int sealed_file(const void *bytes, size_t size) {
  int file = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0) return -1;
  for (size_t done = 0; done < size;) {
    ssize_t wrote = write(file, (const char *)bytes + done, size - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) goto failed;
    done += (size_t)wrote;
  }
  if (fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0) return file;
failed:;
  int error = errno;
  close(file);
  errno = error;
  return -1;
}

static ssize_t send_file(int number, struct msghdr *message, const void *bytes, size_t size) {
  int file = sealed_file(bytes, size);
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
