// Files that are whole or not there: what a plugin keeps across restarts.
#ifndef FILES_H
#define FILES_H

#include "plugin.h"

// Writes DIRECTORY/NAME so that a reader, also after a crash, sees the old content or the new one.
int32_t write_file(const char *directory, const char *name, const text *content, hostd_error *error);
// DIRECTORY/NAME as JSON, to be freed. `*found` is NULL when there is no such file.
int32_t read_json_file(const char *directory, const char *name, json **found, hostd_error *error);

#endif
