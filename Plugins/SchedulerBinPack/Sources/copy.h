/// Copies facts into one block that is kept. The copy is gone through twice: to know its size, and to make it.
#ifndef BINPACK_COPY_H
#define BINPACK_COPY_H

#include "cluster.h"

/// NULL without memory. One `free` gives everything back.
node_facts *node_copy(const node_facts *node);
/// A pod without a place.
pod *pod_copy(text uid, const pod_facts *facts);

#endif
