/// The part of libFuzzer that a program of its own calls (https://llvm.org/docs/LibFuzzer.html, "Using libFuzzer as a library").
#ifndef CFUZZ_H
#define CFUZZ_H

#include <stddef.h>
#include <stdint.h>

/// Reads libFuzzer's options from the arguments and calls `test` with inputs until it is told to stop.
int LLVMFuzzerRunDriver(int *_Nonnull argc, char *_Nullable *_Nonnull *_Nonnull argv,
                        int (*_Nonnull test)(const uint8_t *_Nullable data, size_t size));

#endif
