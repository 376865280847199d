#include "options.h"

#include <stdlib.h>
#include <string.h>

#define WEIGHT(name, text, value)                                                                                      \
    "\"" name "\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":100,\"default\":" value ",\"description\":\"" text "\"}"

const char options_schema[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"resources\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":64,"
    "\"description\":\"The resources whose use makes a node full.\","
    "\"default\":[{\"name\":\"cpu\",\"weight\":1},{\"name\":\"memory\",\"weight\":1}],"
    "\"items\":{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{"
    "\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":253,"
    "\"description\":\"cpu, memory, ephemeral-storage, pods or an extended resource.\"},"
    "\"weight\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100,\"default\":1,"
    "\"description\":\"How much it counts beside the others.\"}}}},"
    WEIGHT("packing", "How much a full node counts.", "4") ","
    WEIGHT("nodeAffinity", "How much a pod's preferred nodes count.", "2") ","
    WEIGHT("podAffinity", "How much preferred company or distance counts.", "2") ","
    WEIGHT("spread", "How much topology spread with ScheduleAnyway counts.", "2") ","
    WEIGHT("taints", "How much taints with PreferNoSchedule count.", "3")
    "}}";

static int64_t weight(call *call, const json *value, const char *name, int64_t least, int64_t fallback) {
    int64_t number;
    if (!json_exists(value)) return fallback;
    if (!json_integer(value, &number) || number < least || number > 100)
        call_fail(call, HOSTD_ERROR_INVALID_ARGUMENT, "the option %s must be a whole number from %d to 100", name,
                  (int)least);
    return number;
}

/// The resources in one block, their names behind them.
static resource_weight *resources(call *call, const resource_weight *from, uint32_t count) {
    size_t size = count * sizeof *from;
    for (uint32_t index = 0; index < count; index++) size += from[index].name.size;
    resource_weight *kept = malloc(size);
    if (kept == NULL) call_fail(call, HOSTD_ERROR_RESOURCE_EXHAUSTED, "there is no memory for the options");
    char *names = (char *)(kept + count);
    for (uint32_t index = 0; index < count; index++) {
        text name = from[index].name;
        memcpy(names, name.data, name.size);
        kept[index] = (resource_weight){{names, name.size}, from[index].weight};
        names += name.size;
    }
    return kept;
}

options options_read(call *call, const json *object) {
    options options = {
        .packing = weight(call, json_member(object, "packing"), "packing", 0, 4),
        .node_affinity = weight(call, json_member(object, "nodeAffinity"), "nodeAffinity", 0, 2),
        .pod_affinity = weight(call, json_member(object, "podAffinity"), "podAffinity", 0, 2),
        .spread = weight(call, json_member(object, "spread"), "spread", 0, 2),
        .taints = weight(call, json_member(object, "taints"), "taints", 0, 3),
    };
    const json *array = json_member(object, "resources");
    resource_weight usual[] = {{TEXT("cpu"), 1}, {TEXT("memory"), 1}};
    resource_weight *read = call_allocate(call, json_count(array) * sizeof *read);
    for (const json *one = json_elements(array); one != NULL; one = one->next) {
        text name = json_text(json_member(one, "name"));
        if (name.size == 0) call_fail(call, HOSTD_ERROR_INVALID_ARGUMENT, "an element of the option resources has no name");
        read[options.resource_count++] =
            (resource_weight){name, weight(call, json_member(one, "weight"), "resources.weight", 1, 1)};
    }
    bool is_given = options.resource_count > 0;
    if (!is_given) options.resource_count = 2;
    options.resources = resources(call, is_given ? read : usual, options.resource_count);
    return options;
}

void options_free(options *options) { free(options->resources); }
