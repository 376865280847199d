/// Calls whose arguments are all integers or pointers, as so many words.
#ifndef INTERPOSER_WORDS_H
#define INTERPOSER_WORDS_H

#include <stdint.h>

/// On these machines an integer or pointer argument, however narrow, fills one register or one word of the stack, and the
/// callee looks at the low bits alone. A call with integers only is therefore an ordinary call with so many words, and
/// needs none of the classification that ffi_call repeats every time, which costs more than all the rest.
#if (defined(__x86_64__) || defined(__aarch64__)) && defined(__LP64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HAS_WORD_CALLS 1
#else
#define HAS_WORD_CALLS 0
#endif

/// Such a word, wherever it lies.
typedef uint64_t __attribute__((may_alias)) word;

/// The most words of a call.
#define WORD_LIMIT 14

#define WORD_1(at) at(0)
#define WORD_2(at) WORD_1(at), at(1)
#define WORD_3(at) WORD_2(at), at(2)
#define WORD_4(at) WORD_3(at), at(3)
#define WORD_5(at) WORD_4(at), at(4)
#define WORD_6(at) WORD_5(at), at(5)
#define WORD_7(at) WORD_6(at), at(6)
#define WORD_8(at) WORD_7(at), at(7)
#define WORD_9(at) WORD_8(at), at(8)
#define WORD_10(at) WORD_9(at), at(9)
#define WORD_11(at) WORD_10(at), at(10)
#define WORD_12(at) WORD_11(at), at(11)
#define WORD_13(at) WORD_12(at), at(12)
#define WORD_14(at) WORD_13(at), at(13)
#define WORD_TYPE(n) word
/// Returns what `function` answers to `n` words, which `at(i)` names.
#define WORD_CASE(n, at) case n: return ((int32_t (*)(WORD_##n(WORD_TYPE)))function)(WORD_##n(at))
/// The cases of a switch over the number of words: 1 to WORD_LIMIT.
#define WORD_CASES(at)                                                                                                  \
    WORD_CASE(1, at); WORD_CASE(2, at); WORD_CASE(3, at); WORD_CASE(4, at); WORD_CASE(5, at); WORD_CASE(6, at);         \
    WORD_CASE(7, at); WORD_CASE(8, at); WORD_CASE(9, at); WORD_CASE(10, at); WORD_CASE(11, at); WORD_CASE(12, at);      \
    WORD_CASE(13, at); WORD_CASE(14, at)

#endif
