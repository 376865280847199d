#include "internal.h"

#if (defined(__x86_64__) || defined(__aarch64__)) && defined(__LP64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

/// On these machines an integer or pointer argument, however narrow, fills one register or one word of the stack, and the
/// callee looks at the low bits alone. A call with integers only is therefore an ordinary call with so many words, and
/// needs none of the classification that ffi_call repeats every time, which costs more than all the rest.
typedef uint64_t __attribute__((may_alias)) word;

#define W(n) (*(const word *)arguments[n])
#define W1 W(0)
#define W2 W1, W(1)
#define W3 W2, W(2)
#define W4 W3, W(3)
#define W5 W4, W(4)
#define W6 W5, W(5)
#define W7 W6, W(6)
#define W8 W7, W(7)
#define W9 W8, W(8)
#define W10 W9, W(9)
#define W11 W10, W(10)
#define W12 W11, W(11)
#define W13 W12, W(12)
#define W14 W13, W(13)
#define T1 word
#define T2 T1, word
#define T3 T2, word
#define T4 T3, word
#define T5 T4, word
#define T6 T5, word
#define T7 T6, word
#define T8 T7, word
#define T9 T8, word
#define T10 T9, word
#define T11 T10, word
#define T12 T11, word
#define T13 T12, word
#define T14 T13, word
#define CASE(n) case n: return ((int32_t (*)(T##n))function)(W##n)

/// 1 and the status when the shape is one that is called directly.
static inline int32_t call_words(uint32_t count, void (*function)(void), void **arguments, int32_t *is_done) {
    *is_done = 1;
    switch (count) {
        CASE(1); CASE(2); CASE(3); CASE(4); CASE(5); CASE(6); CASE(7);
        CASE(8); CASE(9); CASE(10); CASE(11); CASE(12); CASE(13); CASE(14);
    default: *is_done = 0; return 0;
    }
}

#else

static inline int32_t call_words(uint32_t count, void (*function)(void), void **arguments, int32_t *is_done) {
    (void)count, (void)function, (void)arguments;
    *is_done = 0;
    return 0;
}

#endif

int32_t call_function(const signature *signature, void (*function)(void), void **arguments) {
    if (signature->is_integral) {
        int32_t is_done, status = call_words(signature->argument_count, function, arguments, &is_done);
        if (is_done) return status;
    }
    ffi_arg result = 0;
    ffi_call((ffi_cif *)&signature->cif, function, &result, arguments);
    return (int32_t)result;
}
