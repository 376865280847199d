/// Two interfaces that have every letter: what the fixture plugin provides, and what the test offers it as its host.
#ifndef ISOLATION_TEST_LETTERS_H
#define ISOLATION_TEST_LETTERS_H

#include "hostd/plugin.h"

#define LETTERS_1 "com.example.letters/1"
#define LETTERS_1_SLOTS                                                                                                \
    "nothing:e;numbers:iulwdhtHWIe;bytes:boe;structs:sSe;array:aoe;files:fFoe;operate:bcHe;operate_cancel:he;"         \
    "watch:wvHe;watch_end:he;work:bqHe;work_cancel:he;nested:wboe;fail:iube;sleep:twe;crash:ue;host:boe;nulls:bsavqcoSHWIe"
#define LETTERS_1_ENDS "watch:watch_end"

struct letters_struct {
    uint32_t struct_size;
    uint32_t first;
    uint64_t second;
};

typedef struct letters_1 {
    hostd_interface interface;
    int32_t (*nothing)(void *self, hostd_error *error);
    /// *h = the handle + 1, *w = i + u + l + w as numbers, *n = i - d.
    int32_t (*numbers)(void *self, int32_t i, uint32_t u, int64_t l, uint64_t w, double d, uint64_t handle,
                       uint64_t deadline, uint64_t *h, uint64_t *sum, int32_t *n, hostd_error *error);
    /// The same bytes, in a buffer that counts its releases ("releases" of `host`).
    int32_t (*bytes)(void *self, const uint8_t *bytes, uint64_t size, hostd_buffer *same, hostd_error *error);
    /// out.first = in.second, out.second = in.first.
    int32_t (*structs)(void *self, const struct letters_struct *in, struct letters_struct *out, hostd_error *error);
    /// The array as it came.
    int32_t (*array)(void *self, const struct letters_struct *array, uint64_t count, hostd_buffer *same,
                     hostd_error *error);
    /// Writes "borrowed" to the first and "given" to the second, which it closes.
    int32_t (*files)(void *self, int32_t borrowed, int32_t given, hostd_buffer *text, hostd_error *error);
    /// First byte: 'n' completes at once, 't' from a thread, 'h' when cancelled, 'r' refuses. The bytes come back.
    int32_t (*operate)(void *self, const uint8_t *bytes, uint64_t size, hostd_completion completion, void *context,
                       uint64_t *operation, hostd_error *error);
    int32_t (*operate_cancel)(void *self, uint64_t operation, hostd_error *error);
    /// A thread that sends `count` numbers, then END; 0 sends until it is cancelled.
    int32_t (*watch)(void *self, uint64_t count, hostd_sink sink, void *context, uint64_t *watch, hostd_error *error);
    int32_t (*watch_end)(void *self, uint64_t watch, hostd_error *error);
    /// Runs the callback with the key at once, and again as long as it asks for a delay; the handle is how often.
    int32_t (*work)(void *self, const uint8_t *key, uint64_t size, hostd_callback callback, void *context,
                    uint64_t *runs, hostd_error *error);
    int32_t (*work_cancel)(void *self, uint64_t work, hostd_error *error);
    /// Calls echo of the host `count` times with the bytes, and returns the last answer.
    int32_t (*nested)(void *self, uint64_t count, const uint8_t *bytes, uint64_t size, hostd_buffer *same,
                      hostd_error *error);
    /// Fails with the status, retryable or not, and the bytes as message.
    int32_t (*fail)(void *self, int32_t status, uint32_t retryable, const uint8_t *message, uint64_t size,
                    hostd_error *error);
    int32_t (*sleep)(void *self, uint64_t deadline, uint64_t nanoseconds, hostd_error *error);
    /// 1 aborts, 2 segfaults, 3 exits, 4 closes all descriptors and sleeps, 5 spins, 6 kills itself.
    int32_t (*crash)(void *self, uint32_t how, hostd_error *error);
    /// Does something with the host's services: a word, then a number; see plugin.c.
    int32_t (*host)(void *self, const uint8_t *order, uint64_t size, hostd_buffer *answer, hostd_error *error);
    /// 0 when every pointer is NULL, else the first that is not, from 1.
    int32_t (*nulls)(void *self, const uint8_t *b, uint64_t size, const void *s, const void *a, uint64_t count,
                     hostd_sink v, void *vc, hostd_callback q, void *qc, hostd_completion c, void *cc, hostd_buffer *o,
                     void *S, uint64_t *H, uint64_t *W, int32_t *I, hostd_error *error);
} letters_1;

#define HOSTING_1 "com.example.hosting/1"
#define HOSTING_1_SLOTS "echo:boe;subscribe:vHe;unsubscribe:he;tick:wwqHe;untick:he;later:bce"
#define HOSTING_1_ENDS "subscribe:unsubscribe;tick:untick"

typedef struct hosting_1 {
    hostd_interface interface;
    int32_t (*echo)(void *self, const uint8_t *bytes, uint64_t size, hostd_buffer *same, hostd_error *error);
    int32_t (*subscribe)(void *self, hostd_sink sink, void *context, uint64_t *subscription, hostd_error *error);
    int32_t (*unsubscribe)(void *self, uint64_t subscription, hostd_error *error);
    int32_t (*tick)(void *self, uint64_t delay, uint64_t period, hostd_callback callback, void *context, uint64_t *timer,
                    hostd_error *error);
    int32_t (*untick)(void *self, uint64_t timer, hostd_error *error);
    int32_t (*later)(void *self, const uint8_t *bytes, uint64_t size, hostd_completion completion, void *context,
                     hostd_error *error);
} hosting_1;

#endif
