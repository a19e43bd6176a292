// SPDX-License-Identifier: Apache-2.0
// sock_diag(7): what the kernel knows of sockets. Its structs are not in Swift's module of the C library.
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int fdwatch_diagnosis_open(int timeout_ms) {
  int diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (diag < 0)
    return -1;
  struct timeval wait = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
  setsockopt(diag, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  return diag;
}

static int request(int diag, const void *body, size_t size) {
  struct {
    struct nlmsghdr header;
    char body[128];
  } message = {.header = {
                   .nlmsg_len = NLMSG_LENGTH(size),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
               }};
  memcpy(message.body, body, size);
  return send(diag, &message, message.header.nlmsg_len, 0) < 0 ? -1 : 0;
}

int fdwatch_diagnosis_ask_tcp(int diag, int is_ipv6) {
  struct inet_diag_req_v2 body = {
      .sdiag_family = is_ipv6 ? AF_INET6 : AF_INET,
      .sdiag_protocol = IPPROTO_TCP,
      .idiag_ext = 1 << (INET_DIAG_INFO - 1),
      // All but those that listen (10) or belong to nobody any more (TIME_WAIT, 6; half-open requests, 12).
      .idiag_states = ~(1u << 10 | 1u << 6 | 1u << 12),
  };
  return request(diag, &body, sizeof body);
}

int fdwatch_diagnosis_ask_unix(int diag) {
  struct unix_diag_req body = {
      .sdiag_family = AF_UNIX,
      .udiag_states = ~0u,
      .udiag_show = UDIAG_SHOW_PEER,
  };
  return request(diag, &body, sizeof body);
}

ssize_t fdwatch_diagnosis_receive(int diag, void *buffer, size_t size) {
  ssize_t got;
  do
    got = recv(diag, buffer, size, MSG_TRUNC);
  while (got < 0 && errno == EINTR);
  if (got > (ssize_t)size) {
    errno = EMSGSIZE;
    return -1;
  }
  return got;
}
