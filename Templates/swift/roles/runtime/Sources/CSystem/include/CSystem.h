// GNU's extensions of libc, which Swift does not see by themselves.
#include <spawn.h>

int system_pipe(int ends[_Nonnull 2]); // pipe2 with O_CLOEXEC
int system_add_directory(posix_spawn_file_actions_t *_Nonnull actions, const char *_Nonnull path);
