// Selectors over index bytes ("name\0value\0…"): "a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2".
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

typedef enum { AMONG, NOT_AMONG, EXISTS, ABSENT, ABOVE, BELOW } test;
typedef struct {
    char *name;
    test test;
    char **values;
    size_t value_count;
    long long bound;
} requirement;

struct selector {
    requirement *requirements;
    size_t count;
};

typedef struct {
    const char *next;
} parser;

static void skip_space(parser *in) { in->next += strspn(in->next, " \t"); }

static bool take(parser *in, const char *word) {
    size_t size = strlen(word);
    if (strncmp(in->next, word, size) != 0) return false;
    in->next += size;
    skip_space(in);
    return true;
}

static char *take_word(parser *in) {
    size_t size = strcspn(in->next, " \t\r\n,()=!<>\x7f");
    char *word = copy_text(in->next, size);
    in->next += size;
    skip_space(in);
    return word;
}

static void add_value(requirement *to, char *taken) {
    to->values = reallocate(to->values, (to->value_count + 1) * sizeof(char *));
    to->values[to->value_count++] = taken;
}

static bool take_list(parser *in, requirement *to) {
    if (!take(in, "(")) return false;
    do add_value(to, take_word(in));
    while (take(in, ","));
    return take(in, ")");
}

static bool take_number(parser *in, long long *number) {
    char *word = take_word(in), *end;
    errno = 0;
    *number = strtoll(word, &end, 10);
    bool good = word[0] != 0 && *end == 0 && errno == 0;
    free(word);
    return good;
}

static bool take_requirement(parser *in, requirement *it) {
    bool absent = take(in, "!");
    it->name = take_word(in);
    if (it->name[0] == 0) return false;
    it->test = absent ? ABSENT : EXISTS;
    if (absent || *in->next == 0 || *in->next == ',') return true;
    if (take(in, "!=")) return it->test = NOT_AMONG, add_value(it, take_word(in)), true;
    if (take(in, "==") || take(in, "=")) return it->test = AMONG, add_value(it, take_word(in)), true;
    if (take(in, ">")) return it->test = ABOVE, take_number(in, &it->bound);
    if (take(in, "<")) return it->test = BELOW, take_number(in, &it->bound);
    char *verb = take_word(in);
    bool in_list = strcmp(verb, "in") == 0, known = in_list || strcmp(verb, "notin") == 0;
    free(verb);
    it->test = in_list ? AMONG : NOT_AMONG;
    return known && take_list(in, it);
}

int32_t selector_parse(view bytes, selector **made, hostd_error *error) {
    *made = NULL;
    if (bytes.size == 0) return HOSTD_OK;
    if (bytes.size > 65536 || memchr(bytes.bytes, 0, bytes.size) != NULL || !is_utf8(bytes.bytes, bytes.size))
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the selector is not text of at most 65,536 bytes");
    char *copy = copy_text((const char *)bytes.bytes, bytes.size);
    parser in = {copy};
    selector *it = allocate(sizeof *it);
    *it = (selector){0};
    skip_space(&in);
    bool good = true;
    while (good && *in.next != 0) {
        it->requirements = reallocate(it->requirements, (it->count + 1) * sizeof *it->requirements);
        it->requirements[it->count] = (requirement){0};
        good = take_requirement(&in, &it->requirements[it->count++]);
        if (good && *in.next != 0) good = take(&in, ",") && *in.next != 0;
    }
    free(copy);
    *made = it;
    if (good) return HOSTD_OK;
    selector_free(it);
    *made = NULL;
    return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "\"%.*s\" is no selector", (int)(bytes.size < 100 ? bytes.size : 100), bytes.bytes);
}

void selector_free(selector *it) {
    if (it == NULL) return;
    for (size_t i = 0; i < it->count; i++) {
        for (size_t k = 0; k < it->requirements[i].value_count; k++) free(it->requirements[i].values[k]);
        free(it->requirements[i].values), free(it->requirements[i].name);
    }
    free(it->requirements), free(it);
}

// The value of a name; NULL when the index lacks it. An index was checked: it is pairs, each part with its NUL.
static const char *value_of(view index, const char *name) {
    const char *next = (const char *)index.bytes, *end = next + index.size;
    while (next < end) {
        const char *value = next + strlen(next) + 1;
        if (strcmp(next, name) == 0) return value;
        next = value + strlen(value) + 1;
    }
    return NULL;
}

static bool satisfies(const requirement *it, const char *value) {
    bool among = false;
    for (size_t i = 0; value != NULL && i < it->value_count; i++) among = among || strcmp(it->values[i], value) == 0;
    char *end = NULL;
    long long number = value == NULL ? 0 : strtoll(value, &end, 10);
    bool is_number = value != NULL && value[0] != 0 && *end == 0;
    switch (it->test) {
    case EXISTS: return value != NULL;
    case ABSENT: return value == NULL;
    case AMONG: return among;
    case NOT_AMONG: return !among;
    case ABOVE: return is_number && number > it->bound;
    case BELOW: return is_number && number < it->bound;
    }
    return false;
}

bool selector_matches(const selector *it, view index) {
    for (size_t i = 0; it != NULL && i < it->count; i++)
        if (!satisfies(&it->requirements[i], value_of(index, it->requirements[i].name))) return false;
    return true;
}
