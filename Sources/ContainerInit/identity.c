#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "init.h"

#define FILE_LIMIT (1 << 20)

/// Calls `visit` for each line of a colon-separated file with its fields; stops when it returns nonzero.
static void each_entry(const char *path, int field_count, int (*visit)(char **fields, void *context), void *context)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return; // An image without the file has no names; numbers still work.
    char *text = mmap(NULL, FILE_LIMIT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (text == MAP_FAILED)
        fail(STEP_USER, errno, path);
    size_t size = 0;
    ssize_t part;
    while (size < FILE_LIMIT - 1 && (part = read(file, text + size, FILE_LIMIT - 1 - size)) > 0)
        size += (size_t)part;
    close(file);
    for (char *line = text, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        char *fields[8] = {line};
        int count = 1;
        for (char *at = line; count < field_count && (at = strchr(at, ':')); *at++ = 0, fields[count++] = at)
            continue;
        if (count == field_count && visit(fields, context))
            break;
    }
    munmap(text, FILE_LIMIT);
}

static int is_number(const char *text, uint32_t *number)
{
    char *end;
    if (*text < '0' || *text > '9')
        return 0;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    *number = (uint32_t)value;
    return *end == 0 && errno == 0 && value < UINT32_MAX;
}

struct search {
    const char *name; ///< NULL: by number
    uint32_t number;
    int found;
    uint32_t group;
    char found_name[64];
    struct identity *identity;
};

static int visit_user(char **fields, void *context)
{
    struct search *search = context;
    uint32_t user, group;
    if (!is_number(fields[2], &user) || !is_number(fields[3], &group))
        return 0;
    if (search->name ? strcmp(fields[0], search->name) != 0 : user != search->number)
        return 0;
    search->found = 1;
    search->number = user;
    search->group = group;
    copy_path(search->found_name, sizeof search->found_name, fields[0]);
    copy_path(search->identity->home, sizeof search->identity->home, fields[5]);
    return 1;
}

static int visit_group(char **fields, void *context)
{
    struct search *search = context;
    if (strcmp(fields[0], search->name) != 0 || !is_number(fields[2], &search->number))
        return 0;
    return search->found = 1;
}

static void add_group(struct identity *identity, gid_t group)
{
    for (int index = 0; index < identity->group_count; index++)
        if (identity->groups[index] == group)
            return;
    if (identity->group_count == GROUP_LIMIT) {
        char number[24];
        *append_number(number, group) = 0;
        fail(STEP_GROUP, E2BIG, number);
    }
    identity->groups[identity->group_count++] = group;
}

static int visit_membership(char **fields, void *context)
{
    struct search *search = context;
    uint32_t group;
    size_t size = strlen(search->found_name);
    for (char *at = fields[3]; is_number(fields[2], &group) && (at = strstr(at, search->found_name)); at++)
        if ((at == fields[3] || at[-1] == ',') && (at[size] == 0 || at[size] == ','))
            add_group(search->identity, group);
    return 0;
}

static void find_user(struct search *search, const char *given)
{
    if (is_number(given, &search->number)) {
        search->name = NULL;
        each_entry("/etc/passwd", 7, visit_user, search);
        return;
    }
    search->name = given;
    each_entry("/etc/passwd", 7, visit_user, search);
    if (!search->found)
        fail(STEP_USER, ENOENT, given);
}

static gid_t find_group(const char *given)
{
    struct search search = {.name = given};
    if (is_number(given, &search.number))
        return search.number;
    each_entry("/etc/group", 4, visit_group, &search);
    if (!search.found)
        fail(STEP_GROUP, ENOENT, given);
    return search.number;
}

void identity_resolve(const struct configuration *configuration, struct identity *identity)
{
    memset(identity, 0, sizeof *identity);
    copy_path(identity->home, sizeof identity->home, "/");
    char user[128];
    const char *given = configuration_string(configuration, TAG_USER);
    copy_path(user, sizeof user, given ? given : "0");
    char *group = strchr(user, ':');
    if (group)
        *group++ = 0;
    struct search search = {.identity = identity};
    uint64_t user_override = configuration_number(configuration, TAG_USER_ID, UINT64_MAX);
    if (user_override != UINT64_MAX)
        *append_number(user, user_override) = 0;
    find_user(&search, *user ? user : "0");
    identity->user = search.number;
    identity->group = search.found ? search.group : 0;
    if (group && *group && user_override == UINT64_MAX)
        identity->group = find_group(group);
    identity->group = (gid_t)configuration_number(configuration, TAG_GROUP_ID, identity->group);
    if (configuration_number(configuration, TAG_MUST_NOT_BE_ROOT, 0) && identity->user == 0)
        fail(STEP_NON_ROOT, EPERM, given ? given : "0");
    add_group(identity, identity->group);
    if (search.found && *search.found_name && !configuration_number(configuration, TAG_ONLY_LISTED_GROUPS, 0))
        each_entry("/etc/group", 4, visit_membership, &search);
    size_t offset = 0;
    struct record record;
    while (configuration_next(configuration, TAG_SUPPLEMENTARY_GROUP, &offset, &record))
        add_group(identity, (gid_t)record_number(&record, 0));
}
