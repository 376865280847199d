#include "allocator.h"

#include <jemalloc/jemalloc.h>
#include <stdint.h>

// Read by jemalloc when it starts, before any of our code runs (jemalloc(3), "Tuning").
//   narenas         two, for two loops that serve: an arena a core would let memory lie idle in each
//   tcache_*, lg_*  small caches: there are dozens of threads, most of them asleep
//   *_decay_ms      free pages go back within a second, by a thread of jemalloc's that sleeps while there are none
const char *malloc_conf = "narenas:2,tcache_nslots_small_max:32,lg_tcache_max:11,dirty_decay_ms:1000,muzzy_decay_ms:0,"
                          "background_thread:true,max_background_threads:1";

int allocator_is_in_charge(void) {
    unsigned arenas = 0;
    size_t size = sizeof arenas;
    return mallctl("opt.narenas", &arenas, &size, NULL, 0) == 0 && arenas == 2 && allocator_bytes() > 0;
}

size_t allocator_bytes(void) {
    uint64_t epoch = 1;
    size_t bytes = 0, size = sizeof bytes;
    // Figures stand still until the epoch is moved.
    if (mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) != 0) return 0;
    return mallctl("stats.allocated", &bytes, &size, NULL, 0) == 0 ? bytes : 0;
}
