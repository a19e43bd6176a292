// SPDX-License-Identifier: Apache-2.0
// What Swift's Glibc module leaves out: it is built without _GNU_SOURCE.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// `O_PATH`: a handle for look-ups that opens nothing. See open(2).
extern const int fdwatch_O_PATH;

/// Our arguments as the kernel passed them, the program's name first. Swift finds them by what lies below `environ`, which
/// moves away when a preloaded library (libfaketime) calls setenv(3) before Swift's runtime starts: then there are none.
int fdwatch_argument_count(void);
/// One of them, from 0 on.
const char *fdwatch_argument(int index);

/// getdents64(2): glibc wraps it under _GNU_SOURCE only.
ssize_t fdwatch_getdents64(int descriptor, void *buffer, size_t size);

/// Whether the descriptor lies on a procfs: statfs(2)'s f_type, which Swift cannot see.
int fdwatch_is_procfs(int descriptor);

/// statx(2) that takes what the kernel has in its caches, so that a file server that is away cannot block us.
/// Returns 0 and the mode and inode, or -1 with errno.
int fdwatch_stat_cached(int directory, const char *name, uint32_t *mode, uint64_t *inode);

/// Sends one message to a datagram socket and never waits: what does not fit the socket's buffer goes as a sealed
/// memory file (memfd_create(2), SCM_RIGHTS of unix(7), for their macros). Returns 0 or a negative errno.
int fdwatch_send_datagram(const char *path, const void *bytes, size_t size);

/// signalfd(2) for SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGWINCH and SIGTSTP, which it blocks in the calling thread.
int fdwatch_signals_open(void);
/// The number of the next signal that came in, 0 if there is none, or -1 with errno.
int fdwatch_signals_next(int descriptor);

/// pidfd_open(2), which glibc wraps only since 2.36; the variadic `syscall` cannot be called from Swift.
int fdwatch_pidfd_open(int pid);

/// ioctl(2) TIOCGWINSZ: variadic. Returns 0, or -1 with errno.
int fdwatch_window_size(int descriptor, unsigned short *rows, unsigned short *columns);

/// Raises our own soft RLIMIT_NOFILE to the hard one, if it can: the type of its name differs between C libraries.
void fdwatch_raise_descriptor_limit(void);

/// Our own soft RLIMIT_NOFILE.
uint64_t fdwatch_descriptor_limit(void);

/// malloc_trim(3), where the C library has it.
void fdwatch_return_freed_memory(void);

/// Whether the thread's effective set has the capability of that number: capget(2) has no wrapper in glibc.
int fdwatch_has_capability(int number);

/// Opens or creates a file, for its owner only, and locks it until the descriptor is closed (F_SETLK of fcntl(2), which is
/// variadic). The descriptor, or -1 with errno: EAGAIN where another process has locked it, whose pid the kernel tells in
/// `holder` (0 where we cannot see that process). It is not inherited; the file must not be opened a second time.
int fdwatch_lock_file(const char *path, int *holder);

/// open(2) that creates or empties a file, for its owner only: variadic. The descriptor, or -1 with errno.
int fdwatch_create(const char *path);

/// open(2) of a file that is not there yet, for its owner only, following no link. The descriptor, or -1 with errno.
int fdwatch_create_new(const char *path);
/// A listening UNIX socket at a path (one that nobody listens on any more is replaced), of SOCK_STREAM or SOCK_DGRAM with
/// SO_PASSCRED. sockaddr_un is not to be filled from Swift without unsafe copying. The descriptor, or -1 with errno.
int fdwatch_listen_unix(const char *path, int is_datagram, unsigned mode);
/// A listening TCP socket of a numeric address. The descriptor, or -1 with errno.
int fdwatch_listen_tcp(const char *address, uint16_t port);
/// Connects to a UNIX stream socket, waiting no longer than so many milliseconds for each of its steps later on.
int fdwatch_connect_unix(const char *path, int timeout_ms);
/// Sends one datagram to a UNIX socket, without waiting. 0, or -1 with errno.
int fdwatch_send_unix(const char *path, const void *bytes, size_t count);
/// accept4(2), non-blocking and close-on-exec: under _GNU_SOURCE only.
int fdwatch_accept(int descriptor);
/// Whether the socket is a UNIX socket, by SO_DOMAIN.
int fdwatch_is_unix_socket(int descriptor);
/// recvmsg(2) of one datagram with SCM_CREDENTIALS, whose macros Swift cannot see. Its length, which may exceed `size` if
/// it was cut, or -1 with errno. `is_peek`: it stays in the queue.
ssize_t fdwatch_receive(int descriptor, void *buffer, size_t size, int *pid, uint32_t *user, int is_peek);

/// A child process: in a process group of its own, with the standard input given, both outputs to `output`, no other
/// descriptors, default signals, and, unless `user` is UINT32_MAX, as that user and its groups.
/// posix_spawn(3) cannot change the user. Returns the pid, or -1 with errno (also where execve failed). The pid is that of
/// a supervisor: it exits as the command does, or with 128 and the number of its signal, once no descendant of it is left.
int fdwatch_spawn(const char *const *arguments, const char *const *environment, int input, int output, uint32_t user,
                  uint32_t group, const uint32_t *groups, int group_count);
/// A child of our own program that starts nothing itself, and needs no supervisor. The pid, or -1 with errno.
int fdwatch_spawn_helper(const char *const *arguments, const char *const *environment, int input, int output);
/// Signals that a supervisor understands: the first sends the command's process group a SIGTERM, the second ends all.
extern const int fdwatch_END, fdwatch_END_BY_FORCE;
/// The numbers of a user and its groups, by name or number. Returns the number of groups, or -1.
int fdwatch_find_user(const char *name, uint32_t *user, uint32_t *group, uint32_t *groups, int size);
/// A sealed memory file that holds the bytes, to be read from the start: memfd_create(2) wants _GNU_SOURCE.
int fdwatch_memory_file(const char *name, const void *bytes, size_t count);
/// pipe2(2), close-on-exec, whose first end does not block: under _GNU_SOURCE only.
int fdwatch_pipe(int numbers[2]);
/// eventfd(2), close-on-exec and non-blocking: its header is not in Swift's module of the C library.
int fdwatch_eventfd(void);
/// Waits for a child without blocking: 1 and its status (exit code, or 128 + signal), 0 while it runs, -1 with errno.
int fdwatch_reap(int pid, int *status);

/// The seals of a memfd: fcntl(2) is variadic. -1 with errno, EINVAL where the file is of a kind that has none.
int fdwatch_seals(int descriptor);
extern const int fdwatch_F_SEAL_SHRINK, fdwatch_F_SEAL_GROW;

/// Whether the descriptor lies on a tmpfs, as every memfd does that has small pages.
int fdwatch_is_tmpfs(int descriptor);

/// The mode of a file and the device that it lies on, in the parts that /proc/PID/maps writes: macros. 0, or -1.
int fdwatch_file_identity(int descriptor, uint32_t *mode, uint32_t *major_number, uint32_t *minor_number);

/// Descriptors that one message may carry.
#define FDWATCH_PACKET_DESCRIPTORS 4
/// socketpair(2) of SOCK_SEQPACKET, close-on-exec.
int fdwatch_packet_pair(int numbers[2]);
/// Connects to a SOCK_SEQPACKET socket that root made, without waiting. The descriptor, or -1 with errno.
int fdwatch_connect_packets(const char *path);
/// sendmsg(2) of one message with descriptors (SCM_RIGHTS, whose macros Swift cannot see), without waiting.
ssize_t fdwatch_send_packet(int socket, const void *bytes, size_t count, const int *descriptors, int descriptor_count);
/// recvmsg(2) of one message, without waiting. `descriptors` has room for FDWATCH_PACKET_DESCRIPTORS, or is NULL.
/// Returns 0 at the end, -1 with errno; EMSGSIZE where the message is longer than `size`.
ssize_t fdwatch_receive_packet(int socket, void *bytes, size_t size, int *descriptors, int *descriptor_count);
/// Has the other end's hanging up end this process (SIGIO by O_ASYNC: fcntl(2) is variadic), or no longer.
int fdwatch_end_on_hangup(int socket, int on);

/// openat2(2) below a directory that is taken for the root, through no magic link: glibc has no wrapper. The descriptor,
/// or -1 with errno.
int fdwatch_openat2(int root, const char *path, int flags);

/// connect(2) to an abstract UNIX stream socket, and to a numeric address of the Internet, waiting no longer than so many
/// milliseconds. sockaddr_un and sockaddr_in are not to be filled from Swift without unsafe copying. -1 with errno.
int fdwatch_connect_abstract(const void *name, size_t count, int timeout_ms);
int fdwatch_connect_tcp(const char *address, uint16_t port, int timeout_ms);
/// SO_PEERCRED, whose struct is under _GNU_SOURCE only, and getpeername(2) of a connected UNIX socket. The length of the
/// name, at most `size`, or -1 with errno.
int fdwatch_unix_peer(int descriptor, uint32_t *user, void *name, size_t size);
/// getaddrinfo(3), whose results are a list of unsafe pointers: the addresses of a name as texts of 46 bytes each. How many
/// there are, at most `most`, or -1 if there is none.
int fdwatch_resolve(const char *name, void *addresses, int most);

/// What is left to a helper that reads foreign bytes.
typedef struct {
  uint64_t data_bytes, stack_bytes, cpu_seconds, descriptors;
  /// Whom root becomes.
  uint32_t user;
} fdwatch_confinement;
/// Gives up all else: privileges, new ones by execve, files to write, processes, core dumps. 0, or -1 with errno.
int fdwatch_confine(const fdwatch_confinement *limits);
/// Raises the soft limit of processor time to so many seconds from now: the type of its name differs between C libraries.
int fdwatch_allow_cpu(unsigned seconds);
/// CLOCK_PROCESS_CPUTIME_ID: a macro with a cast.
int64_t fdwatch_cpu_nanoseconds(void);

/// A socket of sock_diag(7) that waits no longer than so many milliseconds. The descriptor, or -1 with errno.
int fdwatch_diagnosis_open(int timeout_ms);
/// Asks for all TCP sockets of our network namespace with `tcp_info`, and for all UNIX sockets with their peers.
int fdwatch_diagnosis_ask_tcp(int diagnosis, int is_ipv6);
int fdwatch_diagnosis_ask_unix(int diagnosis);
/// One message of netlink(7), or -1 with errno.
ssize_t fdwatch_diagnosis_receive(int diagnosis, void *buffer, size_t size);
