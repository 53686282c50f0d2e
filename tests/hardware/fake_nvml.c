/* A stand-in for libnvidia-ml.so.1 that answers from FAKE_NVML.
 *
 * FAKE_NVML holds words "key=value" or "key.device=value"; "_" in names stands for a space.
 * Devices 0..9 are GPUs; device 100 + 10 * gpu + i is MIG instance i of a gpu. A key
 * "fail_memory.1=15" makes that call fail with that NVML error. FAKE_NVML_TRACE names a
 * file that gets a line for each start and stop.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1024ULL * 1024ULL)
#define HANDLES 200

typedef unsigned int uint;
typedef struct { int device; } *handle_t;
typedef struct { unsigned long long total, free, used; } memory_v1;
typedef struct { uint version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { uint pid; unsigned long long used; uint gi, ci; } process_t;

static struct { int device; } handles[HANDLES];

static const char *find(const char *key, int device) {
    static char value[256];
    char wanted[64];
    const char *all = getenv("FAKE_NVML");
    if (device < 0) snprintf(wanted, sizeof wanted, " %s=", key);
    else snprintf(wanted, sizeof wanted, " %s.%d=", key, device);
    char padded[4096];
    snprintf(padded, sizeof padded, " %s", all ? all : "init=9");
    char *at = strstr(padded, wanted);
    if (!at) return NULL;
    at += strlen(wanted);
    snprintf(value, sizeof value, "%.*s", (int)strcspn(at, " "), at);
    return value;
}

static long number(const char *key, int device, long otherwise) {
    const char *value = find(key, device);
    return value ? atol(value) : otherwise;
}

static int text(const char *key, int device, char *out, uint size) {
    const char *value = find(key, device);
    if (!value) return 3;
    snprintf(out, size, "%s", value);
    for (char *c = out; *c; c++) if (*c == '_') *c = ' ';
    return 0;
}

static void trace(const char *line) {
    const char *path = getenv("FAKE_NVML_TRACE");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) { fprintf(file, "%s\n", line); fclose(file); }
}

static int give(int device, handle_t *out) {
    handles[device].device = device;
    *out = (handle_t)&handles[device];
    return 0;
}

int nvmlInitWithFlags(uint flags) {
    (void)flags;
    int code = (int)number("init", -1, 0);
    if (!code) trace("start");
    return code;
}

int nvmlShutdown(void) {
    trace("stop");
    return (int)number("shutdown", -1, 0);
}

const char *nvmlErrorString(int code) { (void)code; return "a fault of its own"; }

int nvmlSystemGetDriverVersion(char *out, uint size) { return text("driver", -1, out, size); }

int nvmlSystemGetCudaDriverVersion_v2(int *out) {
    *out = (int)number("cuda", -1, 13000);
    return (int)number("fail_cuda", -1, 0);
}

int nvmlDeviceGetCount_v2(uint *out) {
    *out = (uint)number("count", -1, 0);
    return (int)number("fail_count", -1, 0);
}

int nvmlDeviceGetHandleByIndex_v2(uint index, handle_t *out) {
    int code = (int)number("fail_handle", (int)index, 0);
    return code ? code : give((int)index, out);
}

int nvmlDeviceGetName(handle_t h, char *out, uint size) {
    return text("name", h->device, out, size);
}

int nvmlDeviceGetUUID(handle_t h, char *out, uint size) {
    return text("uuid", h->device, out, size);
}

int nvmlDeviceGetMemoryInfo(handle_t h, memory_v1 *out) {
    int code = (int)number("fail_memory", h->device, 0);
    long reserved = number("reserved", h->device, 0);
    out->total = number("total", h->device, 0) * MIB;
    out->used = (number("used", h->device, 0) + reserved) * MIB;
    out->free = out->total - out->used;
    return code;
}

int nvmlDeviceGetMemoryInfo_v2(handle_t h, memory_v2 *out) {
    int code = (int)number("fail_memory", h->device, 0);
    if (out->version != 0x02000028) return 25;
    if (!code) code = (int)number("fail_memory_v2", -1, 0);
    out->total = number("total", h->device, 0) * MIB;
    out->reserved = number("reserved", h->device, 0) * MIB;
    out->used = number("used", h->device, 0) * MIB;
    out->free = out->total - out->used - out->reserved;
    return code;
}

int nvmlDeviceGetCudaComputeCapability(handle_t h, int *major, int *minor) {
    long capability = number("capability", h->device, -1);
    *major = (int)(capability / 10);
    *minor = (int)(capability % 10);
    return capability < 0 ? 3 : 0;
}

int nvmlDeviceGetMigMode(handle_t h, uint *current, uint *pending) {
    long mode = number("mig", h->device, -1);
    *current = *pending = mode > 0;
    return mode < 0 ? 3 : 0;
}

int nvmlDeviceGetMaxMigDeviceCount(handle_t h, uint *out) {
    (void)h;
    *out = 7;
    return 0;
}

int nvmlDeviceGetMigDeviceHandleByIndex(handle_t h, uint index, handle_t *out) {
    int instance = 100 + 10 * h->device + (int)index;
    return number("total", instance, -1) < 0 ? 6 : give(instance, out);
}

static int processes(const char *key, handle_t h, uint *count, process_t *out) {
    long used = number(key, h->device, -1);
    uint room = *count;
    *count = used < 0 ? 0 : 2;
    if (used < 0) return (int)number("fail_processes", -1, 0);
    if (room < 2) return 7;
    out[0] = (process_t){4711, used * MIB, 0, 0};
    out[1] = (process_t){4712, ~0ULL, 0, 0}; /* not available */
    return 0;
}

int nvmlDeviceGetComputeRunningProcesses_v3(handle_t h, uint *count, process_t *out) {
    return processes("compute", h, count, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(handle_t h, uint *count, process_t *out) {
    return processes("graphics", h, count, out);
}

int nvmlDeviceGetP2PStatus(handle_t a, handle_t b, int capability, int *status) {
    (void)b;
    if (capability != 2) return 2;
    *status = number("nvlink", a->device, 0) ? 0 : 5;
    return 0;
}
