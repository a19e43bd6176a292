// SPDX-License-Identifier: Apache-2.0
// libcurl, loaded when it is first used: with what it brings along it is larger than all of fdwatch, and most watches ask
// no profile. The functions of libcurl that matter take a variable number of arguments, which Swift cannot call.

#ifndef FDWATCH_CCURL_H
#define FDWATCH_CCURL_H

#include <stddef.h>
#include <stdint.h>

enum { fdwatch_kept_socket = -1, fdwatch_no_socket = -2 };

/// What is asked for. All strings are copied.
typedef struct {
    /// Scheme, host and port.
    const char *url;
    /// What is asked for there: sent as it is.
    const char *target;
    /// With `socket`: names the other end, in fewer than 100 bytes. A connection is used again for the same name only.
    const char *key;
    /// A connection to the other end, which is taken over whatever comes of the request; or
    /// fdwatch_kept_socket to use one that was kept; or fdwatch_no_socket: libcurl connects to the host by itself.
    int socket;
    /// "Name: value", ended by NULL.
    const char *const *headers;
    /// File of certificates to trust, or NULL for the system's.
    const char *ca_file;
    /// Bytes of a body that are taken in.
    size_t body_limit;
    /// Milliseconds to connect, until the first byte of an answer, and in all.
    long connect_ms, answer_ms, whole_ms;
} fdwatch_request;

enum {
    fdwatch_outcome_answered = 0,
    fdwatch_outcome_refused,     ///< no connection
    fdwatch_outcome_unconnected, ///< no connection was kept, and none given: nothing was sent
    fdwatch_outcome_silent,      ///< connected, but no answer in time
    fdwatch_outcome_slow,        ///< began to answer, and did not come to an end in time
    fdwatch_outcome_too_large,
    fdwatch_outcome_given_up,    ///< all bodies together were too large, and this was the largest
    fdwatch_outcome_long_head,   ///< headers without end
    fdwatch_outcome_cut_off,     ///< the connection ended before the answer did
    fdwatch_outcome_failed,      ///< anything else: see `message`
};

/// What came of it.
typedef struct {
    uint64_t tag;
    int outcome;
    long status;
    const uint8_t *body;
    size_t size;
    /// The answer had a header `X-Go-Pprof: 1`.
    int is_go_pprof;
    /// Where it redirects to, or "".
    const char *location;
    const char *message;
    /// The connection is kept, and costs the process that answered a descriptor.
    int is_connection_kept;
} fdwatch_response;

typedef struct fdwatch_http fdwatch_http;

/// NULL where there is no libcurl; then `why` says so.
/// - body_budget: bytes of all unfinished bodies together, or the largest `body_limit` if that is more.
fdwatch_http *fdwatch_http_open(size_t body_budget, const char **why);
/// Begins a request. May be called from the thread that runs them only.
int fdwatch_http_start(fdwatch_http *http, const fdwatch_request *request, uint64_t tag);
/// Works for up to `ms` milliseconds, or until something ends or another thread calls `fdwatch_http_wake`.
void fdwatch_http_run(fdwatch_http *http, int ms);
/// Takes the next request that has ended: 1 if there was one. Valid until the next call.
int fdwatch_http_take(fdwatch_http *http, fdwatch_response *response);
void fdwatch_http_wake(fdwatch_http *http);

#endif
