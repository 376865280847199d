// isolation-tests PROGRAM PLUGIN [NAME…]: tests of the transport between host and plugin process. Ends with 0, or aborts
// with a sentence about what does not hold.
#include <signal.h>

#include "harness.h"

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
    {"letters", test_letters}, {"streams", test_streams},     {"files", test_files},
    {"large", test_large},     {"concurrency", test_concurrency}, {"deaths", test_deaths},
    {"deadlines", test_deadlines}, {"idle", test_idle},       {"garbage", test_garbage},
    {"figures", test_figures},
};

int main(int count, char **arguments) {
    if (count < 3) return 2;
    signal(SIGPIPE, SIG_IGN);
    program_path = arguments[1];
    plugin_path = arguments[2];
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        int is_wanted = count == 3 && tests[i].run != test_figures;
        for (int j = 3; j < count; j++) is_wanted |= strcmp(arguments[j], tests[i].name) == 0;
        if (!is_wanted) continue;
        uint64_t start = test_now_ns();
        tests[i].run();
        printf("%s: %lu ms\n", tests[i].name, (test_now_ns() - start) / 1000000);
        fflush(stdout);
    }
    return 0;
}
