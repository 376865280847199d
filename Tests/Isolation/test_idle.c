#include "harness.h"

#include <dirent.h>
#include <time.h>
#include <unistd.h>

/// How often the threads of a process have left the processor, all together.
static long switches(pid_t process) {
    char path[300], line[256];
    snprintf(path, sizeof path, "/proc/%d/task", process);
    DIR *directory = opendir(path);
    long sum = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/status", process, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (file == NULL) continue;
        long count;
        while (fgets(line, sizeof line, file) != NULL) {
            if (sscanf(line, "voluntary_ctxt_switches: %ld", &count) == 1) sum += count;
        }
        fclose(file);
    }
    closedir(directory);
    return sum;
}

/// Without calls nothing runs: no thread of the child leaves its sleep, and none of the host's but this one.
void test_idle(void) {
    struct hosted hosted;
    hosted_start(&hosted, 0, UINT64_C(10000000000));
    for (int i = 0; i < 1000; i++) EXPECT(hosted.letters->nothing(hosted.letters->interface.self, NULL) == HOSTD_OK);
    uint64_t limit = test_now_ns() + 60000000000;
    EXPECT(order(&hosted, "subscribe", NULL) == HOSTD_OK && hosting_publish("x", 1) == 1);
    struct timespec pause = {.tv_nsec = 100000000};
    long child = -1, before;
    do { // What is on its way comes to rest.
        before = child;
        nanosleep(&pause, NULL);
        child = switches(hosted.child);
    } while (child != before && test_now_ns() < limit);
    long host = switches(getpid());
    pause.tv_nsec = 500000000;
    nanosleep(&pause, NULL);
    EXPECT(switches(hosted.child) == child, "%ld, %ld before", switches(hosted.child), child);
    EXPECT(switches(getpid()) <= host + 1, "%ld, %ld before", switches(getpid()), host);
    hosted_stop(&hosted);
}
