/// Role hostd.api/1: Kubernetes API requests from within the process. Provided by the API front.
#ifndef HOSTD_ROLES_API_H
#define HOSTD_ROLES_API_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_API_1 "hostd.api/1"
#define HOSTD_API_1_SLOTS                                                                                                 \
    "request:tbbboIe;request_async:tbbbce;request_fenced:tbbbbwoIe;request_fenced_async:tbbbbwce"

/// Head of an asynchronous response; the JSON body follows at `struct_size`.
typedef struct hostd_api_response {
    uint32_t struct_size;
    int32_t http_status;
} hostd_api_response;

/// The same requests that clients send over HTTPS, without HTTP: authorization aside (plugins act as themselves), they
/// run through defaulting, admission, validation and storage, so that an object means the same whoever writes it.
typedef struct hostd_api_1 {
    hostd_interface interface;
    /// `method`: GET, POST, PUT, DELETE, or PATCH with its type: "PATCH application/merge-patch+json". `path`: as in a
    /// URL, query included, for instance "/api/v1/namespaces/default/pods/web-1/status". `body`: JSON or empty.
    /// `*http_status` gets the HTTP code and `response` the JSON object or Status; the call's own status is HOSTD_OK
    /// whenever a response was made, 404 or 409 included. [any-thread] [blocking]
    int32_t (*request)(void *HOSTD_NULLABLE self, uint64_t deadline_ns, const uint8_t *method, uint64_t method_size,
                       const uint8_t *path, uint64_t path_size, const uint8_t *HOSTD_NULLABLE body, uint64_t body_size,
                       hostd_buffer *response, int32_t *http_status, hostd_error *error);
    /// The same without waiting: the completion's `data` is a hostd_api_response and the JSON after it. [any-thread]
    int32_t (*request_async)(void *HOSTD_NULLABLE self, uint64_t deadline_ns, const uint8_t *method,
                             uint64_t method_size, const uint8_t *path, uint64_t path_size,
                             const uint8_t *HOSTD_NULLABLE body, uint64_t body_size, hostd_completion completion,
                             void *HOSTD_NULLABLE context, hostd_error *error);
    /// As `request`, for one who may write only while the key `fence` of hostd.store/1 is at `fence_revision`: a leader and
    /// its token (hostd.election/1). What the request writes is written in the transaction that checks the key. Once the key
    /// is at another revision or gone, a request that would write gets 403 with the reason Forbidden, and nothing is written.
    /// Reads do not look at the fence. [any-thread] [blocking]
    int32_t (*request_fenced)(void *HOSTD_NULLABLE self, uint64_t deadline_ns, const uint8_t *method,
                              uint64_t method_size, const uint8_t *path, uint64_t path_size,
                              const uint8_t *HOSTD_NULLABLE body, uint64_t body_size, const uint8_t *fence,
                              uint64_t fence_size, uint64_t fence_revision, hostd_buffer *response,
                              int32_t *http_status, hostd_error *error);
    /// The same without waiting, as `request_async`. [any-thread]
    int32_t (*request_fenced_async)(void *HOSTD_NULLABLE self, uint64_t deadline_ns, const uint8_t *method,
                                    uint64_t method_size, const uint8_t *path, uint64_t path_size,
                                    const uint8_t *HOSTD_NULLABLE body, uint64_t body_size, const uint8_t *fence,
                                    uint64_t fence_size, uint64_t fence_revision, hostd_completion completion,
                                    void *HOSTD_NULLABLE context, hostd_error *error);
} hostd_api_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
