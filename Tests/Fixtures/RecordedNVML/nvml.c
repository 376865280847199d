// A recorded NVML: answers as the real library does on a machine with two GPUs, from a file, and delivers the events that
// a test writes into a pipe. The file (environment HOSTD_RECORDED_NVML) has one line per GPU: UUID NAME MINOR BYTES BUS.
// The pipe (HOSTD_RECORDED_NVML_EVENTS) carries records of three uint64: index of the GPU, type, data.
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct gpu {
    char uuid[96];
    char name[96];
    unsigned minor;
    unsigned long long memory;
    char bus[32];
};
static struct gpu gpus[16];
static unsigned count;
static int events = -1;

int nvmlInit_v2(void) {
    const char *path = getenv("HOSTD_RECORDED_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file) return 9; // NVML_ERROR_DRIVER_NOT_LOADED
    count = 0;
    while (count < 16 && fscanf(file, "%95s %95s %u %llu %31s", gpus[count].uuid, gpus[count].name, &gpus[count].minor,
                                &gpus[count].memory, gpus[count].bus) == 5)
        count++;
    fclose(file);
    const char *pipe = getenv("HOSTD_RECORDED_NVML_EVENTS");
    if (pipe) events = open(pipe, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return 0;
}
int nvmlShutdown(void) {
    if (events >= 0) close(events);
    events = -1;
    return 0;
}
const char *nvmlErrorString(int code) { return code == 9 ? "Driver Not Loaded" : code == 10 ? "Timeout" : "Unknown Error"; }
static int text(char *to, unsigned size, const char *from) {
    if (strlen(from) + 1 > size) return 7; // NVML_ERROR_INSUFFICIENT_SIZE
    strcpy(to, from);
    return 0;
}
int nvmlSystemGetDriverVersion(char *version, unsigned size) { return text(version, size, "550.54.15"); }
int nvmlDeviceGetCount_v2(unsigned *out) { return *out = count, 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    if (index >= count) return 2; // NVML_ERROR_INVALID_ARGUMENT
    *device = &gpus[index];
    return 0;
}
int nvmlDeviceGetUUID(struct gpu *gpu, char *out, unsigned size) { return text(out, size, gpu->uuid); }
int nvmlDeviceGetName(struct gpu *gpu, char *out, unsigned size) { return text(out, size, gpu->name); }
int nvmlDeviceGetMinorNumber(struct gpu *gpu, unsigned *minor) { return *minor = gpu->minor, 0; }
int nvmlDeviceGetMemoryInfo(struct gpu *gpu, unsigned long long *memory) {
    memory[0] = gpu->memory;
    memory[1] = gpu->memory;
    memory[2] = 0;
    return 0;
}
int nvmlDeviceGetPciInfo_v3(struct gpu *gpu, char *info) {
    memset(info, 0, 68);
    strcpy(info + 36, gpu->bus);
    return 0;
}
int nvmlEventSetCreate(void **set) { return *set = &events, 0; }
int nvmlEventSetFree(void *set) { return (void)set, 0; }
int nvmlDeviceRegisterEvents(struct gpu *gpu, unsigned long long types, void *set) {
    return (void)gpu, (void)types, (void)set, 0;
}
int nvmlEventSetWait_v2(void *set, unsigned long long *event, unsigned milliseconds) {
    (void)set;
    struct pollfd ready = {.fd = events, .events = POLLIN};
    if (poll(&ready, 1, (int)milliseconds) <= 0) return 10; // NVML_ERROR_TIMEOUT
    uint64_t record[3];
    if (read(events, record, sizeof record) != sizeof record || record[0] >= count) return 10;
    event[0] = (unsigned long long)(uintptr_t)&gpus[record[0]];
    event[1] = record[1];
    event[2] = record[2];
    return 0;
}
