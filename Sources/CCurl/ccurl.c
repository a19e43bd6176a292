// SPDX-License-Identifier: Apache-2.0
#if !__has_include(<curl/curl.h>)
#error "libcurl's headers are missing. Install them: apt-get install libcurl4-openssl-dev"
#endif

#define _GNU_SOURCE
#include "ccurl.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#if LIBCURL_VERSION_NUM < 0x075000
// Since 7.80. Only what is loaded matters.
#define CURLOPT_PREREQFUNCTION ((CURLoption)20312)
#define CURLOPT_PREREQDATA ((CURLoption)10313)
#define CURL_PREREQFUNC_OK 0
#define CURL_PREREQFUNC_ABORT 1
#endif

static struct {
    CURLcode (*global_init)(long);
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *, CURLoption, ...);
    CURLcode (*easy_getinfo)(CURL *, CURLINFO, ...);
    void (*easy_cleanup)(CURL *);
    const char *(*easy_strerror)(CURLcode);
    struct curl_slist *(*slist_append)(struct curl_slist *, const char *);
    void (*slist_free_all)(struct curl_slist *);
    CURLM *(*multi_init)(void);
    CURLMcode (*multi_setopt)(CURLM *, CURLMoption, ...);
    CURLMcode (*multi_add_handle)(CURLM *, CURL *);
    CURLMcode (*multi_remove_handle)(CURLM *, CURL *);
    CURLMcode (*multi_perform)(CURLM *, int *);
    CURLMcode (*multi_poll)(CURLM *, struct curl_waitfd *, unsigned, int, int *);
    CURLMcode (*multi_wakeup)(CURLM *);
    CURLMsg *(*multi_info_read)(CURLM *, int *);
    curl_version_info_data *(*version_info)(CURLversion);
} curl;

// libcurl 7.88, which Debian 12 has, connects a socket that it was told is connected: see give_connected().
static int reconnects;

static int load(const char **why) {
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library) library = dlopen("libcurl-gnutls.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        *why = "libcurl is not installed (Debian's package libcurl4)";
        return 0;
    }
    const struct { const char *name; void *place; } functions[] = {
        {"curl_global_init", &curl.global_init},
        {"curl_easy_init", &curl.easy_init},
        {"curl_easy_setopt", &curl.easy_setopt},
        {"curl_easy_getinfo", &curl.easy_getinfo},
        {"curl_easy_cleanup", &curl.easy_cleanup},
        {"curl_easy_strerror", &curl.easy_strerror},
        {"curl_slist_append", &curl.slist_append},
        {"curl_slist_free_all", &curl.slist_free_all},
        {"curl_multi_init", &curl.multi_init},
        {"curl_multi_setopt", &curl.multi_setopt},
        {"curl_multi_add_handle", &curl.multi_add_handle},
        {"curl_multi_remove_handle", &curl.multi_remove_handle},
        {"curl_multi_perform", &curl.multi_perform},
        {"curl_multi_poll", &curl.multi_poll},
        {"curl_multi_wakeup", &curl.multi_wakeup},
        {"curl_multi_info_read", &curl.multi_info_read},
        {"curl_version_info", &curl.version_info},
    };
    for (size_t index = 0; index < sizeof functions / sizeof *functions; index++) {
        void *found = dlsym(library, functions[index].name);
        if (!found) {
            *why = "libcurl is older than 7.68";
            return 0;
        }
        memcpy(functions[index].place, &found, sizeof found);
    }
    unsigned version = curl.version_info(CURLVERSION_NOW)->version_num;
    reconnects = version >= 0x075800 && version < 0x080000;
    return curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

typedef struct transfer {
    struct transfer *next;
    struct fdwatch_http *http;
    uint64_t tag;
    CURL *easy;
    struct curl_slist *headers;
    uint8_t *body;
    size_t size, capacity, limit, head;
    long answer_ms;
    // Given to libcurl when it opens a connection, which then owns it. -1: there is none.
    int socket;
    // What libcurl has instead, for as long as it believes to connect it, and where it keeps the address for that.
    int stand_in;
    struct curl_sockaddr *address;
    int is_unconnected, is_go_pprof, is_too_large, is_given_up, is_head_long, is_silent;
    char location[256];
    char message[CURL_ERROR_SIZE];
} transfer;

struct fdwatch_http {
    CURLM *multi;
    transfer *taken;
    // All that have been started and not been taken.
    transfer *first;
    size_t budget, held;
    // A datagram socket from which nothing is ever read, and where it is.
    int sink;
    struct sockaddr_un sink_name;
    socklen_t sink_length;
};

// A server that sends headers for as long as it may would fill the memory: libcurl keeps them all. Go's net/http allows
// 1 MiB; what answers here sends a few hundred bytes.
enum { longest_head = 64 << 10 };

// A mapping of its own: it grows without a copy, and what it took goes back at once. On the heap 16 MiB of bodies came to
// 40 MiB.
static int grow_body(transfer *t, size_t capacity) {
    void *grown = t->body ? mremap(t->body, t->capacity, capacity, MREMAP_MAYMOVE)
                          : mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (grown == MAP_FAILED) return 0;
    t->http->held += capacity - t->capacity;
    t->body = grown;
    t->capacity = capacity;
    return 1;
}

static void free_body(transfer *t) {
    if (t->body) munmap(t->body, t->capacity);
    t->http->held -= t->capacity;
    t->body = NULL;
    t->size = t->capacity = 0;
}

static void free_transfer(transfer *t) {
    if (!t) return;
    for (transfer **place = &t->http->first; *place; place = &(*place)->next) {
        if (*place == t) {
            *place = t->next;
            break;
        }
    }
    curl.easy_cleanup(t->easy);
    curl.slist_free_all(t->headers);
    free_body(t);
    if (t->socket >= 0) close(t->socket);
    free(t);
}

// Makes room for so many bytes, at the cost of the largest bodies. 0 if that was this one.
static int make_room(transfer *t, size_t more) {
    fdwatch_http *http = t->http;
    size_t budget = http->budget > t->limit ? http->budget : t->limit;
    while (http->held > budget || more > budget - http->held) {
        transfer *largest = t;
        for (transfer *other = http->first; other; other = other->next) {
            if (other->capacity > largest->capacity) largest = other;
        }
        largest->is_given_up = 1;
        free_body(largest);
        if (largest == t) return 0;
    }
    return 1;
}

static size_t on_body(char *bytes, size_t one, size_t count, void *context) {
    transfer *t = context;
    size_t more = one * count;
    if (t->is_given_up) return 0;
    if (more > t->limit - t->size) {
        t->is_too_large = 1;
        return 0;
    }
    if (t->size + more > t->capacity) {
        size_t capacity = t->capacity * 2 > t->size + more ? t->capacity * 2 : t->size + more;
        if (capacity > t->limit) capacity = t->limit;
        if (!make_room(t, capacity - t->capacity) || !grow_body(t, capacity)) return 0;
    }
    memcpy(t->body + t->size, bytes, more);
    t->size += more;
    return more;
}

// libcurl wants a connection: it gets ours, or none. Only here is one opened.
static curl_socket_t on_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
    (void)purpose;
    transfer *t = context;
    if (t->socket < 0) {
        t->is_unconnected = 1;
        return CURL_SOCKET_BAD;
    }
    if (reconnects) {
        // This one can be connected to the sink at once. It is none of a stream, and nothing is sent through it.
        t->stand_in = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        t->address = address;
        return t->stand_in;
    }
    int given = t->socket;
    t->socket = -1;
    return given;
}

static int on_new_socket(void *context, curl_socket_t socket, curlsocktype purpose) {
    (void)socket, (void)purpose;
    if (!reconnects) return CURL_SOCKOPT_ALREADY_CONNECTED;
    // The address may be changed: see CURLOPT_OPENSOCKETFUNCTION(3). It is a sockaddr_storage in truth.
    transfer *t = context;
    memcpy(&t->address->addr, &t->http->sink_name, t->http->sink_length);
    t->address->addrlen = t->http->sink_length;
    t->address = NULL;
    return CURL_SOCKOPT_OK;
}

// Called before each request is sent: libcurl takes its socket for connected, and from now on it is.
static int give_connected(void *context, char *remote, char *local, int remote_port, int local_port) {
    (void)remote, (void)local, (void)remote_port, (void)local_port;
    transfer *t = context;
    if (t->stand_in < 0) return CURL_PREREQFUNC_OK;
    int replaced = dup3(t->socket, t->stand_in, O_CLOEXEC);
    close(t->socket);
    t->socket = t->stand_in = -1;
    return replaced < 0 ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static int has_value(const char *line, size_t size, const char *name, char *value, size_t room) {
    size_t length = strlen(name);
    if (size <= length || strncasecmp(line, name, length) != 0 || line[length] != ':') return 0;
    const char *from = line + length + 1, *end = line + size;
    while (from < end && *from == ' ') from++;
    while (end > from && (end[-1] == '\r' || end[-1] == '\n')) end--;
    size_t count = (size_t)(end - from) < room - 1 ? (size_t)(end - from) : room - 1;
    memcpy(value, from, count);
    value[count] = 0;
    return 1;
}

static size_t on_header(char *line, size_t one, size_t count, void *context) {
    transfer *t = context;
    t->head += one * count;
    if (t->head > longest_head) {
        t->is_head_long = 1;
        return 0;
    }
    char value[8];
    if (has_value(line, one * count, "X-Go-Pprof", value, sizeof value)) t->is_go_pprof = strcmp(value, "1") == 0;
    has_value(line, one * count, "Location", t->location, sizeof t->location);
    return one * count;
}

// Called about once a second, and the more often the more comes.
static int on_progress(void *context, curl_off_t total, curl_off_t now, curl_off_t to_send, curl_off_t sent) {
    (void)total, (void)now, (void)to_send, (void)sent;
    transfer *t = context;
    curl_off_t first = 0, connected = 0, all = 0;
    curl.easy_getinfo(t->easy, CURLINFO_STARTTRANSFER_TIME_T, &first);
    curl.easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
    curl.easy_getinfo(t->easy, CURLINFO_TOTAL_TIME_T, &all);
    t->is_silent = first == 0 && connected > 0 && all - connected > t->answer_ms * 1000;
    return t->is_silent || t->is_given_up;
}

// What a stand-in is connected to. It has a path, as 7.88 does not use a connection again whose other end has no name in
// text, but no file for longer than it takes to get a handle of it.
static int open_sink(fdwatch_http *http) {
    const char *const folders[] = {"/run/fdwatch", "/tmp", "/dev/shm"};
    http->sink = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (http->sink < 0) return 0;
    http->sink_name.sun_family = AF_UNIX;
    http->sink_length = sizeof http->sink_name;
    for (size_t index = 0; index < sizeof folders / sizeof *folders; index++) {
        char folder[64];
        snprintf(folder, sizeof folder, "%s/.fdwatch-XXXXXX", folders[index]);
        if (!mkdtemp(folder)) continue;
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        snprintf(name.sun_path, sizeof name.sun_path, "%s/sink", folder);
        int is_bound = bind(http->sink, (struct sockaddr *)&name, sizeof name) == 0;
        int handle = is_bound ? open(name.sun_path, O_PATH | O_CLOEXEC) : -1;
        unlink(name.sun_path);
        rmdir(folder);
        if (handle >= 0) {
            snprintf(http->sink_name.sun_path, sizeof http->sink_name.sun_path, "/proc/self/fd/%d", handle);
            return 1;
        }
        if (is_bound) break;
    }
    close(http->sink);
    return 0;
}

fdwatch_http *fdwatch_http_open(size_t body_budget, const char **why) {
    static int state = 0;
    static const char *reason = "libcurl could not be set up";
    if (state == 0) state = load(&reason) ? 1 : -1;
    *why = reason;
    if (state < 0) return NULL;
    fdwatch_http *http = calloc(1, sizeof *http);
    if (!http) return NULL;
    http->budget = body_budget;
    http->multi = curl.multi_init();
    if (!http->multi || (reconnects && !open_sink(http))) {
        *why = http->multi ? "libcurl 7.88 takes a folder that can be written to: /run/fdwatch, /tmp or /dev/shm"
                           : "libcurl could not be set up";
        free(http);
        return NULL;
    }
    // Connections are kept for as long as their processes live: at EMFILE none can be opened.
    curl.multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, 4096L);
    return http;
}

int fdwatch_http_start(fdwatch_http *http, const fdwatch_request *request, uint64_t tag) {
    transfer *t = calloc(1, sizeof *t);
    if (!t) {
        if (request->socket >= 0) close(request->socket);
        return 0;
    }
    t->http = http;
    t->socket = request->socket;
    t->stand_in = -1;
    if (t->socket >= 0) fcntl(t->socket, F_SETFL, O_NONBLOCK);
    t->easy = curl.easy_init();
    if (!t->easy) {
        free_transfer(t);
        return 0;
    }
    t->tag = tag;
    t->limit = request->body_limit;
    t->answer_ms = request->answer_ms;
    for (const char *const *header = request->headers; *header; header++) {
        struct curl_slist *more = curl.slist_append(t->headers, *header);
        if (more) t->headers = more;
    }
#define SET(option, value) curl.easy_setopt(t->easy, CURLOPT_##option, value)
    SET(URL, request->url);
    SET(REQUEST_TARGET, request->target);
    if (request->socket != fdwatch_no_socket) {
        // To libcurl all are UNIX sockets: it looks no name up, and tells connections apart by this path, which is none.
        SET(UNIX_SOCKET_PATH, request->key);
        SET(OPENSOCKETFUNCTION, on_socket);
        SET(OPENSOCKETDATA, t);
        SET(SOCKOPTFUNCTION, on_new_socket);
        SET(SOCKOPTDATA, t);
        if (reconnects) {
            SET(PREREQFUNCTION, give_connected);
            SET(PREREQDATA, t);
        }
    }
    SET(PRIVATE, t);
    SET(ERRORBUFFER, t->message);
    SET(HTTPHEADER, t->headers);
    SET(WRITEFUNCTION, on_body);
    SET(WRITEDATA, t);
    SET(HEADERFUNCTION, on_header);
    SET(HEADERDATA, t);
    SET(XFERINFOFUNCTION, on_progress);
    SET(XFERINFODATA, t);
    SET(NOPROGRESS, 0L);
    SET(NOSIGNAL, 1L);
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    // Never off the process: no redirects, no proxies of our own environment, no other protocols.
    SET(FOLLOWLOCATION, 0L);
    SET(PROXY, "");
    SET(NETRC, (long)CURL_NETRC_IGNORED);
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(PROTOCOLS_STR, "http,https");
#else
    SET(PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    SET(CONNECTTIMEOUT_MS, request->connect_ms);
    SET(TCP_KEEPALIVE, 1L);
    SET(TIMEOUT_MS, request->whole_ms);
    SET(MAXAGE_CONN, 30L * 24 * 3600);
    SET(USERAGENT, "fdwatch");
    if (request->ca_file) SET(CAINFO, request->ca_file);
#undef SET
    if (curl.multi_add_handle(http->multi, t->easy) != CURLM_OK) {
        free_transfer(t);
        return 0;
    }
    t->next = http->first;
    http->first = t;
    return 1;
}

void fdwatch_http_run(fdwatch_http *http, int ms) {
    int running = 0;
    curl.multi_perform(http->multi, &running);
    int started = 0;
    for (transfer *t = http->first; t; t = t->next) started++;
    // Some have ended already, such as those for which there was no connection: nothing need be waited for.
    if (running < started) return;
    curl.multi_poll(http->multi, NULL, 0, ms, NULL);
    curl.multi_perform(http->multi, &running);
}

void fdwatch_http_wake(fdwatch_http *http) { curl.multi_wakeup(http->multi); }

static int outcome(transfer *t, CURLcode code) {
    if (t->is_unconnected) return fdwatch_outcome_unconnected;
    if (t->is_given_up) return fdwatch_outcome_given_up;
    if (t->is_too_large) return fdwatch_outcome_too_large;
    if (t->is_head_long) return fdwatch_outcome_long_head;
    if (t->is_silent) return fdwatch_outcome_silent;
    curl_off_t connected = 0, first = 0;
    curl.easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
    curl.easy_getinfo(t->easy, CURLINFO_STARTTRANSFER_TIME_T, &first);
    switch (code) {
    case CURLE_OK: return fdwatch_outcome_answered;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST: return fdwatch_outcome_refused;
    case CURLE_OPERATION_TIMEDOUT:
        return first > 0 ? fdwatch_outcome_slow : connected > 0 ? fdwatch_outcome_silent : fdwatch_outcome_refused;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR: return fdwatch_outcome_cut_off;
    default: return fdwatch_outcome_failed;
    }
}

int fdwatch_http_take(fdwatch_http *http, fdwatch_response *response) {
    free_transfer(http->taken);
    http->taken = NULL;
    int left = 0;
    CURLMsg *message = curl.multi_info_read(http->multi, &left);
    if (!message || message->msg != CURLMSG_DONE) return 0;
    CURLcode code = message->data.result;
    transfer *t = NULL;
    curl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
    response->outcome = outcome(t, code);
    response->status = 0;
    curl.easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &response->status);
    curl_socket_t socket = CURL_SOCKET_BAD;
    curl.easy_getinfo(t->easy, CURLINFO_ACTIVESOCKET, &socket);
    response->is_connection_kept = socket != CURL_SOCKET_BAD;
    response->tag = t->tag;
    response->body = t->body;
    response->size = t->size;
    response->is_go_pprof = t->is_go_pprof;
    response->location = t->location;
    response->message = t->message[0] ? t->message : curl.easy_strerror(code);
    curl.multi_remove_handle(http->multi, t->easy);
    http->taken = t;
    return 1;
}
