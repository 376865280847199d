#define _GNU_SOURCE
#include <ftw.h>
#include <stdio.h>
#include <sys/mman.h>

#include "plugin_check.h"

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status, (void)kind, (void)place;
    return remove(path);
}

int32_t check_remove_tree(const char *path) { return nftw(path, remove_one, 64, FTW_DEPTH | FTW_PHYS | FTW_MOUNT); }

int32_t check_nameless_file(void) { return memfd_create("check", MFD_CLOEXEC); }
