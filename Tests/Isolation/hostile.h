/// Children that break the format, each in a way of its own; they go on for 60 ms at most.
#ifndef ISOLATION_TEST_HOSTILE_H
#define ISOLATION_TEST_HOSTILE_H

#include "harness.h"

/// Serves the fixture plugin, and writes numbers into the shared memory beside that.
void hostile_scribble(const isolation_channel *channel, uint64_t seed);
/// Sends calls, questions and deliveries that are wrong in places.
void hostile_messages(const isolation_channel *channel, uint64_t seed);
/// Answers the host's questions wrongly.
void hostile_replies(const isolation_channel *channel, uint64_t seed);
/// Sends packets and descriptors over the socket that mean nothing.
void hostile_packets(const isolation_channel *channel, uint64_t seed);

#endif
