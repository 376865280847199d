#include "facts.h"

#include <stdlib.h>
#include <string.h>

static int by_key(const void *one, const void *other) {
    return text_compare(((const pair *)one)->key, ((const pair *)other)->key);
}

void pairs_sort(pair *items, uint32_t count) {
    if (count > 1) qsort(items, count, sizeof *items, by_key);
}

const text *pairs_find(const pairs *pairs, text key) {
    uint32_t low = 0, high = pairs->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = text_compare(pairs->items[middle].key, key);
        if (order == 0) return &pairs->items[middle].value;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

int64_t amounts_find(const amounts *amounts, text name) {
    for (uint32_t index = 0; index < amounts->count; index++)
        if (text_equal(amounts->items[index].name, name)) return amounts->items[index].value;
    return 0;
}

static bool contains(const texts *values, text value) {
    for (uint32_t index = 0; index < values->count; index++)
        if (text_equal(values->items[index], value)) return true;
    return false;
}

/// Whether a label's value is greater (sign 1) or less (sign -1) than the requirement's number.
static bool compares(const requirement *requirement, const text *value, int sign) {
    int64_t bound, number;
    if (value == NULL || requirement->values.count == 0 || !text_integer(requirement->values.items[0], &bound) ||
        !text_integer(*value, &number))
        return false;
    return sign > 0 ? number > bound : number < bound;
}

bool requirement_holds(const requirement *requirement, const text *value) {
    switch (requirement->operator) {
    case OPERATOR_IN: return value != NULL && contains(&requirement->values, *value);
    case OPERATOR_NOT_IN: return value == NULL || !contains(&requirement->values, *value);
    case OPERATOR_EXISTS: return value != NULL;
    case OPERATOR_ABSENT: return value == NULL;
    case OPERATOR_GREATER: return compares(requirement, value, 1);
    case OPERATOR_LESS: return compares(requirement, value, -1);
    default: return false;
    }
}

bool selector_selects(const selector *selector, const pairs *labels) {
    if (!selector->selects) return false;
    for (uint32_t index = 0; index < selector->requirements.count; index++) {
        const requirement *requirement = &selector->requirements.items[index];
        if (!requirement_holds(requirement, pairs_find(labels, requirement->key))) return false;
    }
    return true;
}

bool node_term_matches(const node_term *term, text name, const pairs *labels) {
    if (term->labels.count == 0 && term->fields.count == 0) return false;
    for (uint32_t index = 0; index < term->labels.count; index++) {
        const requirement *requirement = &term->labels.items[index];
        if (!requirement_holds(requirement, pairs_find(labels, requirement->key))) return false;
    }
    for (uint32_t index = 0; index < term->fields.count; index++) {
        const requirement *requirement = &term->fields.items[index];
        if (!text_equal(requirement->key, TEXT("metadata.name")) || !requirement_holds(requirement, &name)) return false;
    }
    return true;
}

static uint8_t operator_read(text name) {
    static const char *const names[] = {"", "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"};
    for (uint8_t operator= OPERATOR_IN; operator<= OPERATOR_LESS; operator++)
        if (text_equal(name, (text){names[operator], (uint32_t)strlen(names[operator])})) return operator;
    return OPERATOR_NEVER;
}

static void requirement_read(call *call, requirement *requirement, const json *object) {
    const json *values = json_member(object, "values");
    text *items = call_allocate(call, json_count(values) * sizeof *items);
    requirement->key = json_text(json_member(object, "key"));
    requirement->operator= operator_read(json_text(json_member(object, "operator")));
    for (const json *value = json_elements(values); value != NULL; value = value->next)
        if (value->kind == JSON_STRING) items[requirement->values.count++] = value->string;
    requirement->values.items = items;
}

static requirements requirements_read(call *call, const json *array) {
    requirement *items = call_allocate(call, json_count(array) * sizeof *items);
    requirements read = {items, 0};
    for (const json *element = json_elements(array); element != NULL; element = element->next)
        requirement_read(call, &items[read.count++], element);
    return read;
}

node_term node_term_read(call *call, const json *object) {
    return (node_term){.labels = requirements_read(call, json_member(object, "matchExpressions")),
                       .fields = requirements_read(call, json_member(object, "matchFields"))};
}

/// A label selector's requirement must mean something.
static void check(call *call, const requirement *requirement) {
    uint32_t values = requirement->values.count;
    bool is_right = requirement->operator== OPERATOR_IN || requirement->operator== OPERATOR_NOT_IN ? values > 0
                    : requirement->operator== OPERATOR_EXISTS || requirement->operator== OPERATOR_ABSENT ? values == 0
                    : requirement->operator== OPERATOR_NEVER                                            ? false
                                                                                                        : values == 1;
    if (!is_right)
        call_fail(call, HOSTD_ERROR_INVALID_ARGUMENT, "a label selector has an operator that does not fit its values");
}

selector selector_read(call *call, const json *object) {
    if (!json_exists(object)) return (selector){0};
    if (object->kind != JSON_OBJECT) call_fail(call, HOSTD_ERROR_INVALID_ARGUMENT, "a label selector must be an object");
    const json *map = json_member(object, "matchLabels"), *array = json_member(object, "matchExpressions");
    requirement *items = call_allocate(call, (json_count(map) + json_count(array)) * sizeof *items);
    selector selector = {true, {items, 0}};
    for (const json *member = json_members(map); member != NULL; member = member->next) {
        if (member->kind != JSON_STRING)
            call_fail(call, HOSTD_ERROR_INVALID_ARGUMENT, "a label selector has a value that is no string");
        text *value = call_allocate(call, sizeof *value);
        *value = member->string;
        items[selector.requirements.count++] = (requirement){member->key, OPERATOR_IN, {value, 1}};
    }
    for (const json *element = json_elements(array); element != NULL; element = element->next) {
        requirement_read(call, &items[selector.requirements.count], element);
        check(call, &items[selector.requirements.count++]);
    }
    return selector;
}
