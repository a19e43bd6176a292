// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// The system calls that open and close descriptors, and where their numbers stand.

#ifndef FDWATCH_OPENERS_CALLS_H
#define FDWATCH_OPENERS_CALLS_H

enum fdwatch_call_kind {
  /// Not followed.
  FDWATCH_CALL_OTHER,
  /// Returns the new descriptor.
  FDWATCH_CALL_OPENS,
  /// Returns the new descriptor if told to duplicate one, else flags.
  FDWATCH_CALL_FCNTL,
  /// Writes two where the first argument points to.
  FDWATCH_CALL_PIPE,
  /// Writes two where the fourth argument points to.
  FDWATCH_CALL_SOCKETPAIR,
  /// Returns its second argument; nothing changes if that equals the first.
  FDWATCH_CALL_DUP2,
  /// Returns its first argument, unless that is -1.
  FDWATCH_CALL_SIGNALFD,
  /// Returns a descriptor for some commands.
  FDWATCH_CALL_BPF,
  FDWATCH_CALL_CLOSE,
  FDWATCH_CALL_CLOSE_RANGE,
  FDWATCH_CALL_EXEC,
};

/// X(number, name, kind): numbers of x86-64, which older headers do not all have.
#define FDWATCH_CALLS(X) \
  X(2, open, OPENS) X(3, close, CLOSE) X(22, pipe, PIPE) X(32, dup, OPENS) X(33, dup2, DUP2) X(41, socket, OPENS) \
  X(43, accept, OPENS) X(53, socketpair, SOCKETPAIR) X(59, execve, EXEC) X(72, fcntl, FCNTL) X(85, creat, OPENS) \
  X(213, epoll_create, OPENS) X(240, mq_open, OPENS) X(253, inotify_init, OPENS) X(257, openat, OPENS) \
  X(282, signalfd, SIGNALFD) X(283, timerfd_create, OPENS) X(284, eventfd, OPENS) X(288, accept4, OPENS) \
  X(289, signalfd4, SIGNALFD) X(290, eventfd2, OPENS) X(291, epoll_create1, OPENS) X(292, dup3, OPENS) \
  X(293, pipe2, PIPE) X(294, inotify_init1, OPENS) X(298, perf_event_open, OPENS) X(300, fanotify_init, OPENS) \
  X(304, open_by_handle_at, OPENS) X(319, memfd_create, OPENS) X(321, bpf, BPF) X(322, execveat, EXEC) \
  X(323, userfaultfd, OPENS) X(425, io_uring_setup, OPENS) X(428, open_tree, OPENS) X(430, fsopen, OPENS) \
  X(432, fsmount, OPENS) X(433, fspick, OPENS) X(434, pidfd_open, OPENS) X(436, close_range, CLOSE_RANGE) \
  X(437, openat2, OPENS) X(438, pidfd_getfd, OPENS) X(444, landlock_create_ruleset, OPENS) \
  X(447, memfd_secret, OPENS) X(467, open_tree_attr, OPENS)

#endif
