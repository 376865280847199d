#define _GNU_SOURCE
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plugin_check.h"

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status, (void)kind, (void)place;
    return remove(path);
}

int32_t check_remove_tree(const char *path) { return nftw(path, remove_one, 64, FTW_DEPTH | FTW_PHYS | FTW_MOUNT); }

static int remove_group(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status, (void)place;
    if (kind == FTW_DP) (void)!rmdir(path); // A group that is in use still stays.
    return 0;
}

void check_remove_groups(const char *name) {
    glob_t found;
    char pattern[512];
    snprintf(pattern, sizeof pattern, "/sys/fs/cgroup/{,*/}%s", name);
    if (glob(pattern, GLOB_BRACE | GLOB_NOSORT, NULL, &found) != 0) return;
    for (size_t i = 0; i < found.gl_pathc; i++) nftw(found.gl_pathv[i], remove_group, 64, FTW_DEPTH | FTW_PHYS);
    globfree(&found);
}

int32_t check_nameless_file(void) { return memfd_create("check", MFD_CLOEXEC); }
