#define _GNU_SOURCE // pipe2
#include "harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

static int open_files(void) {
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;
    while (readdir(directory) != NULL) count++;
    closedir(directory);
    return count;
}

void test_files(void) {
    struct hosted hosted;
    hosted_start(&hosted, 0, UINT64_C(10000000000));
    void *this = hosted.letters->interface.self;
    int before = open_files();
    for (int round = 0; round < 200; round++) {
        int pipes[2][2];
        EXPECT(pipe2(pipes[0], O_CLOEXEC) == 0 && pipe2(pipes[1], O_CLOEXEC) == 0);
        int borrowed = round % 3 == 1 ? -1 : pipes[0][1], given = round % 3 == 2 ? -1 : pipes[1][1];
        hostd_buffer said = {0};
        EXPECT(hosted.letters->files(this, borrowed, given, &said, NULL) == HOSTD_OK);
        if (said.release != NULL) said.release(said.context);
        char text[16] = "";
        if (borrowed >= 0) EXPECT(read(pipes[0][0], text, 16) == 8 && memcmp(text, "borrowed", 8) == 0);
        if (given >= 0) {
            EXPECT(read(pipes[1][0], text, 16) == 5 && memcmp(text, "given", 5) == 0);
            EXPECT(fcntl(given, F_GETFD) < 0); // It is the callee's: closed here,
            EXPECT(read(pipes[1][0], text, 16) == 0); // and there.
        }
        close(pipes[0][0]);
        close(pipes[0][1]);
        close(pipes[1][0]);
        if (given < 0) close(pipes[1][1]);
    }
    hostd_buffer said = {0};
    hostd_error error = empty_error();
    EXPECT(hosted.letters->files(this, 1000000, -1, &said, &error) == HOSTD_ERROR_INVALID_ARGUMENT);
    error_release(&error);
    EXPECT(hosted.letters->files(this, -1, -1, &said, &error) == HOSTD_OK);
    EXPECT(said.size == 9 && memcmp(said.data, "none none", 9) == 0);
    said.release(said.context);
    EXPECT(open_files() == before, "%d, %d before", open_files(), before);
    hosted_stop(&hosted);
    int given = dup(2); // A call that cannot be made closes what it was given.
    EXPECT(given >= 0);
    hosted_start(&hosted, 0, UINT64_C(10000000000));
    isolation_peer_condemn(hosted.peer, "The test says so.");
    EXPECT(hosted.letters->files(hosted.letters->interface.self, -1, given, &said, &error) == HOSTD_ERROR_UNAVAILABLE);
    EXPECT(error.retryable == 1 && fcntl(given, F_GETFD) < 0);
    error_release(&error);
    hosted_stop(&hosted);
    EXPECT(hosted.cause == ISOLATION_CONDEMNED && strcmp(hosted.reason, "The test says so.") == 0);
}
