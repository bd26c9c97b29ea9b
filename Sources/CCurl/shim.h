// libcurl for Swift. Its option setters are variadic, which Swift cannot call: one typed inline wrapper per argument type,
// so that the C compiler still checks what each option is given (an int where curl reads a long is undefined behaviour).
#ifndef BURSAR_CCURL_H
#define BURSAR_CCURL_H
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

// Once, before any thread. OpenSSL's exit handler frees what other threads still use and crashes at exit, so it is told not
// to install one (OPENSSL_INIT_NO_ATEXIT; libcurl and libpq share this OpenSSL). Handles run with CURLOPT_NOSIGNAL, so a
// peer that closes early would kill the process by SIGPIPE: ignored for good.
int OPENSSL_init_crypto(uint64_t options, const void *settings);
static inline CURLcode bursar_curl_initialize(void) {
    signal(SIGPIPE, SIG_IGN);
    OPENSSL_init_crypto(0x00080000L, NULL);
    return curl_global_init(CURL_GLOBAL_DEFAULT);
}

static inline CURLcode bursar_curl_set_long(CURL *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode bursar_curl_set_size(CURL *easy, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode bursar_curl_set_string(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}
// For the options that keep the pointer: the caller keeps what it points to until the handle is done.
static inline CURLcode bursar_curl_set_pointer(CURL *easy, CURLoption option, void *value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode bursar_curl_set_url(CURL *easy, CURLU *url) {
    return curl_easy_setopt(easy, CURLOPT_CURLU, url);
}
static inline CURLcode bursar_curl_set_headers(CURL *easy, struct curl_slist *headers) {
    return curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
}
static inline CURLcode bursar_curl_set_recipients(CURL *easy, struct curl_slist *recipients) {
    return curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, recipients);
}
static inline CURLcode bursar_curl_set_names(CURL *easy, struct curl_slist *names) {
    return curl_easy_setopt(easy, CURLOPT_RESOLVE, names);
}
static inline CURLcode bursar_curl_set_read(CURL *easy, curl_read_callback callback) {
    return curl_easy_setopt(easy, CURLOPT_READFUNCTION, callback);
}
static inline CURLcode bursar_curl_set_write(CURL *easy, curl_write_callback callback) {
    return curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, callback);
}
static inline CURLcode bursar_curl_set_header(CURL *easy, curl_write_callback callback) {
    return curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, callback);
}
static inline CURLcode bursar_curl_set_open_socket(CURL *easy, curl_opensocket_callback callback) {
    return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, callback);
}
static inline CURLcode bursar_curl_set_prerequest(CURL *easy, curl_prereq_callback callback) {
    return curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, callback);
}
static inline CURLMcode bursar_curl_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}

// The context given as CURLOPT_PRIVATE.
static inline void *bursar_curl_private(CURL *easy) {
    char *value = NULL;
    return curl_easy_getinfo(easy, CURLINFO_PRIVATE, &value) == CURLE_OK ? value : NULL;
}
// The last status, or the last reply of a server that speaks no HTTP; 0 when there was none.
static inline long bursar_curl_response_code(CURL *easy) {
    long code = 0;
    return curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code) == CURLE_OK ? code : 0;
}
// What curl says of a finished transfer; the message's union does not import into Swift.
static inline CURLcode bursar_curl_result(const CURLMsg *message) { return message->data.result; }

// An address's bytes, network order: 4 or 16 of them by the returned family (4 or 6), 0 when it is neither.
static inline int bursar_curl_address(const struct curl_sockaddr *from, unsigned char bytes[16], uint16_t *port) {
    if (from->family == AF_INET && from->addrlen >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in address;
        memcpy(&address, &from->addr, sizeof address);
        memcpy(bytes, &address.sin_addr, 4);
        *port = ntohs(address.sin_port);
        return 4;
    }
    if (from->family == AF_INET6 && from->addrlen >= sizeof(struct sockaddr_in6)) {
        // `addr` is declared as the short form, but is as long as `addrlen` says.
        const unsigned char *start = (const unsigned char *)from + offsetof(struct curl_sockaddr, addr);
        struct sockaddr_in6 address;
        memcpy(&address, start, sizeof address);
        memcpy(bytes, &address.sin6_addr, 16);
        *port = ntohs(address.sin6_port);
        return 6;
    }
    return 0;
}
// Text of an address, strictly (no short forms, no zone): family 4 or 6, or 0 when it is not one.
static inline int bursar_parse_address(const char *text, unsigned char bytes[16]) {
    if (inet_pton(AF_INET, text, bytes) == 1) return 4;
    if (inet_pton(AF_INET6, text, bytes) == 1) return 6;
    return 0;
}
static inline curl_socket_t bursar_curl_open_socket(const struct curl_sockaddr *address) {
    int type = address->socktype;
#ifdef SOCK_CLOEXEC
    type |= SOCK_CLOEXEC;
#endif
    return socket(address->family, type, address->protocol);
}
#endif
