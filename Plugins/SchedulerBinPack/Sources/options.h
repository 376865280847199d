/// The options of scheduler-binpack: what packing means, and how much preferences count against it.
#ifndef BINPACK_OPTIONS_H
#define BINPACK_OPTIONS_H

#include "decision.h"
#include "json.h"

/// Their JSON Schema.
extern const char options_schema[];

/// Reads the options, which the host has checked and filled with defaults; what is missing all the same has its default.
/// Fails the call for what is out of range.
options options_read(call *call, const json *object);
void options_free(options *options);

#endif
