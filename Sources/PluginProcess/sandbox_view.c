#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/// Whether `path` lies below `directory`.
static int is_below(const char *path, const char *directory)
{
    size_t size = strlen(directory);
    return path && strncmp(path, directory, size) == 0 && path[size] == '/' && path[size + 1] != 0;
}

/// Makes the directories of `path` behind the first `skip` bytes; the last component only when `is_directory`.
static int make_way(const char *path, size_t skip, int is_directory)
{
    char prefix[PATH_MAX];
    if (strlen(path) >= sizeof prefix)
        return errno = ENAMETOOLONG, -1;
    strcpy(prefix, path);
    for (char *at = prefix + skip + 1; *at; at++)
        if (*at == '/') {
            *at = 0;
            if (mkdir(prefix, 0711) < 0 && errno != EEXIST)
                return -1;
            *at = '/';
        }
    if (is_directory)
        return mkdir(prefix, 0711) < 0 && errno != EEXIST ? -1 : 0;
    int file = open(prefix, O_WRONLY | O_CREAT | O_CLOEXEC, 0400);
    return file < 0 ? -1 : close(file);
}

/// Puts what `source` refers to, an O_PATH descriptor from before the data was hidden, back at its place.
static int put_back(const struct sandbox *sandbox, const char *path, int source, unsigned long flags)
{
    char descriptor[64];
    struct stat status;
    snprintf(descriptor, sizeof descriptor, "/proc/self/fd/%d", source);
    if (fstat(source, &status) < 0 || make_way(path, strlen(sandbox->data), S_ISDIR(status.st_mode)) < 0 ||
        mount(descriptor, path, NULL, MS_BIND, NULL) < 0)
        return -1;
    return mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | flags, NULL);
}

/// The data directory becomes an empty one that holds the plugin's own directory and its library alone, at their paths.
int sandbox_hide_data(const struct sandbox *sandbox, char *message)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return sandbox_refuse(message, "cannot keep mounts to itself", errno);
    if (!sandbox->data)
        return 0;
    int directory = -1, library = -1;
    if (is_below(sandbox->directory, sandbox->data)) {
        directory = open(sandbox->directory, O_PATH | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW);
        if (directory < 0)
            return sandbox_refuse(message, sandbox->directory, errno);
    }
    if (is_below(sandbox->library, sandbox->data)) {
        library = open(sandbox->library, O_PATH | O_CLOEXEC);
        if (library < 0)
            return sandbox_refuse(message, sandbox->library, errno);
    }
    if (mount("hostd", sandbox->data, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0711,size=64k,nr_inodes=64") < 0)
        return sandbox_refuse(message, "cannot hide the data directory", errno);
    if (directory >= 0 && put_back(sandbox, sandbox->directory, directory, 0) < 0)
        return sandbox_refuse(message, sandbox->directory, errno);
    // Its own directory may hold the library: that is there again, then, and writable no more.
    if (library >= 0 && put_back(sandbox, sandbox->library, library, MS_RDONLY) < 0)
        return sandbox_refuse(message, sandbox->library, errno);
    if (mount(NULL, sandbox->data, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return sandbox_refuse(message, "cannot hide the data directory", errno);
    if (directory >= 0)
        close(directory);
    if (library >= 0)
        close(library);
    return 0;
}
