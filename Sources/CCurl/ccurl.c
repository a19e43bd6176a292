// SPDX-License-Identifier: Apache-2.0
#if !__has_include(<curl/curl.h>)
#error "libcurl's headers are missing. Install them: apt-get install libcurl4-openssl-dev"
#endif

#include "ccurl.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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
} curl;

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
    };
    for (size_t index = 0; index < sizeof functions / sizeof *functions; index++) {
        void *found = dlsym(library, functions[index].name);
        if (!found) {
            *why = "libcurl is older than 7.68";
            return 0;
        }
        memcpy(functions[index].place, &found, sizeof found);
    }
    return curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

typedef struct {
    uint64_t tag;
    CURL *easy;
    struct curl_slist *headers;
    uint8_t *body;
    size_t size, capacity, limit;
    long answer_ms;
    int is_go_pprof, is_too_large, is_silent;
    char location[256];
    char message[CURL_ERROR_SIZE];
} transfer;

struct fdwatch_http {
    CURLM *multi;
    transfer *taken;
};

static void free_transfer(transfer *t) {
    if (!t) return;
    curl.easy_cleanup(t->easy);
    curl.slist_free_all(t->headers);
    free(t->body);
    free(t);
}

static size_t on_body(char *bytes, size_t one, size_t count, void *context) {
    transfer *t = context;
    size_t more = one * count;
    if (more > t->limit - t->size) {
        t->is_too_large = 1;
        return 0;
    }
    if (t->size + more > t->capacity) {
        size_t capacity = t->capacity * 2 > t->size + more ? t->capacity * 2 : t->size + more;
        uint8_t *grown = realloc(t->body, capacity);
        if (!grown) return 0;
        t->body = grown;
        t->capacity = capacity;
    }
    memcpy(t->body + t->size, bytes, more);
    t->size += more;
    return more;
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
    return t->is_silent;
}

fdwatch_http *fdwatch_http_open(const char **why) {
    static int state = 0;
    static const char *reason = "libcurl could not be set up";
    if (state == 0) state = load(&reason) ? 1 : -1;
    *why = reason;
    if (state < 0) return NULL;
    fdwatch_http *http = calloc(1, sizeof *http);
    if (!http) return NULL;
    http->multi = curl.multi_init();
    if (!http->multi) {
        free(http);
        return NULL;
    }
    // Connections are kept for as long as their processes live: at EMFILE none can be opened.
    curl.multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, 4096L);
    return http;
}

int fdwatch_http_start(fdwatch_http *http, const fdwatch_request *request, uint64_t tag) {
    transfer *t = calloc(1, sizeof *t);
    if (!t) return 0;
    t->easy = curl.easy_init();
    if (!t->easy) {
        free(t);
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
    SET(TIMEOUT_MS, request->whole_ms);
    SET(TCP_KEEPALIVE, 1L);
    SET(MAXAGE_CONN, 30L * 24 * 3600);
    SET(USERAGENT, "fdwatch");
    // As `ss` writes it: a name that begins with @ is abstract, and in no file system.
    if (request->unix_socket && request->unix_socket[0] == '@') {
        SET(ABSTRACT_UNIX_SOCKET, request->unix_socket + 1);
    } else if (request->unix_socket) {
        SET(UNIX_SOCKET_PATH, request->unix_socket);
    }
    if (request->ca_file) SET(CAINFO, request->ca_file);
#undef SET
    if (curl.multi_add_handle(http->multi, t->easy) != CURLM_OK) {
        free_transfer(t);
        return 0;
    }
    return 1;
}

void fdwatch_http_run(fdwatch_http *http, int ms) {
    int running = 0;
    curl.multi_perform(http->multi, &running);
    curl.multi_poll(http->multi, NULL, 0, ms, NULL);
    curl.multi_perform(http->multi, &running);
}

void fdwatch_http_wake(fdwatch_http *http) { curl.multi_wakeup(http->multi); }

static int outcome(transfer *t, CURLcode code) {
    if (t->is_too_large) return fdwatch_outcome_too_large;
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
