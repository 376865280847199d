// Checks of scheduler-binpack's own parts, built with its sources and sanitizers: what its reader of JSON takes and refuses,
// quantities, and random damage to everything that it is given. Prints what failed; exit code 1 then.
//
//     check [ROUNDS [SEED]]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "facts.h"
#include "json.h"
#include "table.h"

static int failures;

static void expect(bool holds, const char *what, const char *detail) {
    if (holds) return;
    failures++;
    printf("%s: %s\n", what, detail);
}

// MARK: JSON

/// Parses a copy without anything behind it, so that a sanitizer sees every byte too many.
static bool parses(const char *text, size_t size) {
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    memcpy(copy, text, size);
    call call;
    bool parsed = false;
    if (CALL_BEGIN(&call) == 0) {
        json_parse(&call, copy, size);
        call_end(&call);
        parsed = true;
    } else {
        call_failed(&call, NULL);
    }
    free(copy);
    return parsed;
}

static void check_json(void) {
    static const char *const right[] = {
        "null", " true ", "false", "0", "-0", "12.5e+3", "1E400", "\"\"", "[]", "{}", "[1,[2,[3]]]", "{\"a\":{\"b\":[null]}}",
        "\"\\u0041\\n\\\"\\/\\\\\"", "\"\\ud83d\\ude00\"", "\"\xF0\x9F\x98\x80\"", "\"\xC3\xBC\"", "\"\x7F\"", "\t[\r\n1 , 2 ]",
        "{\"a\":1,\"a\":2}", "9223372036854775808",
    };
    static const char *const wrong[] = {
        "", " ", "nul", "nullx", "True", "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x1", "NaN", "Infinity", "\"", "\"a",
        "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\ud83d\"", "\"\\ud83dx\"", "\"\\ud83d\\u0041\"", "\"\\udc00\"", "\"\\", "\"\n\"",
        "\"\x01\"", "\"\xFF\"", "\"\xC0\x80\"", "\"\xED\xA0\x80\"", "\"\xF4\x90\x80\x80\"", "\"\xE2\x82\"", "\"\xC3\"", "[", "]", "[1",
        "[1,", "[1,]", "[,1]", "[1 2]", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{a:1}", "{1:2}", "{\"a\" 1}",
        "{\"a\":1 \"b\":2}", "1 2", "{}{}", "/* */1", "'a'", "\xEF\xBB\xBF" "1",
    };
    for (size_t index = 0; index < sizeof right / sizeof *right; index++)
        expect(parses(right[index], strlen(right[index])), "is JSON", right[index]);
    for (size_t index = 0; index < sizeof wrong / sizeof *wrong; index++)
        expect(!parses(wrong[index], strlen(wrong[index])), "is no JSON", wrong[index]);
    expect(!parses("1\0", 2), "is no JSON", "a zero behind the value");
    char nested[2 * JSON_DEPTH_LIMIT + 4];
    for (int depth = JSON_DEPTH_LIMIT; depth <= JSON_DEPTH_LIMIT + 1; depth++) {
        memset(nested, '[', (size_t)depth);
        memset(nested + depth, ']', (size_t)depth);
        expect(parses(nested, 2 * (size_t)depth) == (depth == JSON_DEPTH_LIMIT), "nesting", "the limit");
    }
    char *deep = malloc(10000000);
    memset(deep, '[', 10000000);
    expect(!parses(deep, 10000000), "nesting", "ten million");
    free(deep);
}

static void check_values(void) {
    static const char object[] = "{\"a\":{\"b\":\"\\u00fc\\ud83d\\ude00\\t\"},\"n\":-9223372036854775808,\"f\":1.5,\"l\":[1,2],\"a2\":1,\"a2\":2}";
    call call;
    if (CALL_BEGIN(&call)) {
        expect(false, "is JSON", object);
        call_failed(&call, NULL);
        return;
    }
    const json *read = json_parse(&call, (const uint8_t *)object, sizeof object - 1);
    int64_t number = 0;
    expect(text_equal(json_text(json_path(read, "a", "b", NULL)), TEXT("\xC3\xBC\xF0\x9F\x98\x80\t")), "string", "escapes");
    expect(json_integer(json_member(read, "n"), &number) && number == INT64_MIN, "number", "least");
    expect(!json_integer(json_member(read, "f"), &number), "number", "a fraction is no whole number");
    expect(json_integer(json_member(read, "a2"), &number) && number == 2, "member", "the last of two counts");
    expect(!json_exists(json_path(read, "a", "none", "deeper", NULL)), "member", "absent");
    expect(json_count(json_member(read, "l")) == 2 && json_elements(json_member(read, "a")) == NULL, "array", "kinds");
    call_end(&call);
}

// MARK: Quantities

static void check_quantities(void) {
    static const struct {
        const char *text;
        int64_t value;
    } right[] = {
        {"0", 0}, {"1", 1}, {"+1", 1}, {"-1", -1}, {"100m", 1}, {"1001m", 2}, {"-1001m", -2}, {"1.5", 2}, {"1.0", 1}, {"1k", 1000},
        {"1Ki", 1024}, {"1.5Gi", 1610612736}, {"1e3", 1000}, {"1E3", 1000}, {"1E", 1000000000000000000}, {"1500e-3", 2},
        {"9223372036854775807", INT64_MAX}, {"9223372036854775808", INT64_MAX}, {"10E", INT64_MAX}, {"8Ei", INT64_MAX},
        {"-10E", -INT64_MAX}, {"1n", 1}, {"1u", 1}, {".5", 1}, {"5.", 5}, {"1e-999", 1}, {"0e999", 0}, {"1e999", INT64_MAX},
        {"0.000000000000000000000000000000000000001", 1}, {"1.0000000000000000000000001", 2},
        {"123456789012345678901234567890", INT64_MAX}, {"1000000000000000000000m", 1000000000000000000},
    };
    static const char *const wrong[] = {"", "+", "-", ".", "m", "1x", "1kk", "1ki", "1 ", " 1", "1e", "1e+", "1e1000", "1Kii", "0x1", "1.2.3", "e3"};
    for (size_t index = 0; index < sizeof right / sizeof *right; index++) {
        int64_t value = 0;
        text text = {right[index].text, (uint32_t)strlen(right[index].text)};
        expect(quantity_parse(text, &value) && value == right[index].value, "quantity", right[index].text);
    }
    for (size_t index = 0; index < sizeof wrong / sizeof *wrong; index++) {
        int64_t value;
        text text = {wrong[index], (uint32_t)strlen(wrong[index])};
        expect(!quantity_parse(text, &value), "no quantity", wrong[index]);
    }
}

// MARK: Table

static void check_table(void) {
    enum { COUNT = 2000 };
    static keyed things[COUNT];
    static char names[COUNT][8];
    bool present[COUNT] = {false};
    table table = {0};
    for (int step = 0; step < 20 * COUNT; step++) {
        int index = rand() % COUNT;
        things[index].key = (text){names[index], (uint32_t)snprintf(names[index], sizeof names[index], "%d", index)};
        expect((table_find(&table, things[index].key) != NULL) == present[index], "table", names[index]);
        if (present[index]) table_remove(&table, things[index].key);
        else if (table_reserve(&table)) table_insert(&table, &things[index]);
        present[index] = !present[index];
    }
    uint32_t count = 0;
    for (int index = 0; index < COUNT; index++) count += present[index];
    expect(count == table.count, "table", "count");
    table_clear(&table);
}

// MARK: Random damage

static const char node_object[] =
    "{\"metadata\":{\"name\":\"a\",\"labels\":{\"zone\":\"z1\",\"cores\":\"8\"}},\"spec\":{\"taints\":[{\"key\":\"k\",\"value\":\"v\","
    "\"effect\":\"NoSchedule\"},{\"key\":\"s\",\"effect\":\"PreferNoSchedule\"}]},\"status\":{\"allocatable\":{\"cpu\":\"4\","
    "\"memory\":\"8Gi\",\"nvidia.com/gpu\":\"2\"}}}";
static const char pod_object[] =
    "{\"metadata\":{\"namespace\":\"n\",\"labels\":{\"app\":\"w\\u0065b\"}},\"spec\":{\"nodeSelector\":{\"zone\":\"z1\"},\"tolerations\":"
    "[{\"operator\":\"Exists\"}],\"containers\":[{\"ports\":[{\"hostPort\":80}],\"resources\":{\"requests\":{\"cpu\":\"100m\","
    "\"nvidia.com/gpu\":\"1\"}}}],\"initContainers\":[{\"restartPolicy\":\"Always\",\"resources\":{\"limits\":{\"x.io/y\":2}}}],"
    "\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":[{\"matchExpressions\":"
    "[{\"key\":\"cores\",\"operator\":\"Gt\",\"values\":[\"4\"]}],\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"In\","
    "\"values\":[\"a\"]}]}]},\"preferredDuringSchedulingIgnoredDuringExecution\":[{\"weight\":5,\"preference\":{}}]},"
    "\"podAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":[{\"topologyKey\":\"zone\",\"labelSelector\":{\"matchLabels\":"
    "{\"app\":\"web\"}}}]},\"podAntiAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":[{\"topologyKey\":\"rack\","
    "\"namespaces\":[\"n\"],\"labelSelector\":{\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"NotIn\",\"values\":[\"x\"]}]}}]}},"
    "\"topologySpreadConstraints\":[{\"maxSkew\":1,\"topologyKey\":\"zone\",\"matchLabelKeys\":[\"app\"],\"labelSelector\":{}}]}}";

/// A damaged copy: bytes changed, cut out or doubled. Exactly as large as it says.
static uint8_t *damage(const void *original, size_t *size) {
    uint8_t *copy = malloc(*size + 64);
    memcpy(copy, original, *size);
    for (int times = rand() % 4; times >= 0 && *size > 1; times--) {
        size_t at = (size_t)rand() % *size;
        static const char signs[] = "{}[]\",:\\0-9eE.";
        switch (rand() % 5) {
        case 0: copy[at] = (uint8_t)rand(); break;
        case 1: copy[at] = (uint8_t)signs[(size_t)rand() % (sizeof signs - 1)]; break;
        case 2: *size = at; break;
        case 3: memmove(copy + at, copy + at + 1, *size - at - 1), --*size; break;
        case 4:
            if (*size < 4000) memmove(copy + at + 1, copy + at, *size - at > 32 ? 32 : *size - at);
        }
    }
    uint8_t *exact = malloc(*size == 0 ? 1 : *size);
    memcpy(exact, copy, *size);
    free(copy);
    return exact;
}

static const hostd_interface *no_interface(void *self, const char *id) { return (void)self, (void)id, NULL; }

typedef struct instance {
    hostd_plugin plugin;
    const hostd_scheduler_1 *role;
    const hostd_state_1 *state;
} instance;

static void drop(hostd_error *error) {
    if (error->message.release != NULL) error->message.release(error->message.context);
    *error = (hostd_error){.struct_size = sizeof *error};
}

static instance open_instance(void) {
    static const hostd_host host = {sizeof host, 1, 1, 0, NULL, no_interface};
    static const char configuration[] = "{\"options\":{}}";
    hostd_error error = {.struct_size = sizeof error};
    instance opened = {.plugin.struct_size = sizeof(hostd_plugin)};
    expect(hostd_plugin_entry(&host, &opened.plugin, &error) == HOSTD_OK, "entry", "of an instance");
    expect(opened.plugin.activate(opened.plugin.self, &error) == HOSTD_ERROR_WRONG_STATE, "activate", "before configure");
    drop(&error);
    expect(opened.plugin.configure(opened.plugin.self, (const uint8_t *)configuration, sizeof configuration - 1, &error) == 0,
           "configure", "empty options");
    opened.role = (const hostd_scheduler_1 *)opened.plugin.get_interface(opened.plugin.self, HOSTD_SCHEDULER_1);
    opened.state = (const hostd_state_1 *)opened.plugin.get_interface(opened.plugin.self, HOSTD_STATE_1);
    return opened;
}

static void close_instance(instance *instance) {
    instance->plugin.deactivate(instance->plugin.self, NULL);
    instance->plugin.destroy(instance->plugin.self);
}

/// What damaged objects leave behind must still be handed over, byte for byte.
static void check_hand_over(const instance *from) {
    hostd_error error = {.struct_size = sizeof error};
    hostd_buffer state = {0}, again = {0};
    expect(from->state->export_state((void *)from->plugin.self, &state, &error) == HOSTD_OK, "export", "after damage");
    instance copy = open_instance();
    expect(copy.state->import_state(copy.plugin.self, state.data, state.size, &error) == HOSTD_OK, "import", "of an export");
    drop(&error);
    copy.state->export_state(copy.plugin.self, &again, &error);
    expect(again.size == state.size && memcmp(again.data, state.data, state.size) == 0, "export", "of an import differs");
    for (int times = 0; times < 4; times++) {
        size_t size = state.size;
        uint8_t *damaged = damage(state.data, &size);
        instance other = open_instance();
        other.state->import_state(other.plugin.self, damaged, size, &error);
        drop(&error);
        other.plugin.activate(other.plugin.self, &error);
        close_instance(&other);
        free(damaged);
    }
    again.release(again.context);
    state.release(state.context);
    close_instance(&copy);
}

static void check_damage(int rounds) {
    instance instance = open_instance();
    hostd_error error = {.struct_size = sizeof error};
    expect(instance.plugin.activate(instance.plugin.self, &error) == HOSTD_OK, "activate", "after configure");
    hostd_scheduler_node node = {sizeof node, HOSTD_SCHEDULER_NODE_READY, 4000, 1 << 30, 1 << 30, 10};
    hostd_scheduler_pod pod = {sizeof pod, 0, 100, 1 << 20, 0};
    for (int round = 0; round < rounds; round++) {
        char name[16];
        uint64_t name_size = (uint64_t)snprintf(name, sizeof name, "%d", rand() % 8);
        const uint8_t *key = (const uint8_t *)name;
        size_t node_size = sizeof node_object - 1, pod_size = sizeof pod_object - 1;
        uint8_t *damaged_node = damage(node_object, &node_size), *damaged_pod = damage(pod_object, &pod_size);
        hostd_buffer decision = {0};
        switch (rand() % 6) {
        case 0: instance.role->node_set(instance.plugin.self, &node, key, name_size, damaged_node, node_size, &error); break;
        case 1: instance.role->node_remove(instance.plugin.self, key, name_size, &error); break;
        case 2: instance.role->pod_remove(instance.plugin.self, key, name_size, &error); break;
        case 3:
            instance.role->pod_set(instance.plugin.self, &pod, key, name_size, key, 1, damaged_pod, pod_size, &error);
            break;
        default:
            instance.role->schedule(instance.plugin.self, 0, &pod, key, name_size, damaged_pod, pod_size, &decision, &error);
            if (decision.size > 0) {
                expect(parses((const char *)decision.data, decision.size), "decision", "is no JSON");
                decision.release(decision.context);
            }
        }
        drop(&error);
        free(damaged_node);
        free(damaged_pod);
        if (round % 64 == 0) check_hand_over(&instance);
    }
    close_instance(&instance);
}

int main(int count, char **arguments) {
    srand(count > 2 ? (unsigned)atoi(arguments[2]) : 1);
    check_json();
    check_values();
    check_quantities();
    check_table();
    check_damage(count > 1 ? atoi(arguments[1]) : 20000);
    printf("%d failures\n", failures);
    return failures > 0;
}
