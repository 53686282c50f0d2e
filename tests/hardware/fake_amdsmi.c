/* A stand-in for libamd_smi.so that answers from FAKE_AMDSMI.
 *
 * FAKE_AMDSMI holds words "key=value" or "key.device=value"; "_" in names stands for a space.
 * A key "fail_total.1=10" makes that call fail with that status. Functions of the library
 * that nobody asks here are made by the test, each answering "not supported".
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1024ULL * 1024ULL)
#define NOT_SUPPORTED 2
#define DEVICES 16

#pragma pack(push, 1)
typedef struct {
    char market_name[256];
    uint32_t vendor_id;
    char vendor_name[256];
    uint32_t subvendor_id;
    uint64_t device_id;
    uint32_t rev_id;
    char asic_serial[256];
    uint32_t oam_id, num_of_compute_units;
    uint8_t padding[4];
    uint64_t target_graphics_version;
    uint32_t subsystem_id;
    uint32_t reserved[21];
} asic_t;
typedef struct { char version[256], date[256], name[256]; } driver_t;
typedef struct { uint32_t render, card, hsa, hip; char uuid[256]; } numbers_t;
#pragma pack(pop)

static struct { int device; } handles[DEVICES];

static const char *find(const char *key, int device) {
    static char value[256];
    char wanted[64];
    char padded[4096];
    const char *all = getenv("FAKE_AMDSMI");
    snprintf(padded, sizeof padded, " %s", all ? all : "init=34");
    if (device < 0) snprintf(wanted, sizeof wanted, " %s=", key);
    else snprintf(wanted, sizeof wanted, " %s.%d=", key, device);
    char *at = strstr(padded, wanted);
    if (!at) return NULL;
    at += strlen(wanted);
    snprintf(value, sizeof value, "%.*s", (int)strcspn(at, " "), at);
    return value;
}

static long number(const char *key, int device, long otherwise) {
    const char *value = find(key, device);
    return value ? strtol(value, NULL, 0) : otherwise;
}

static int text(const char *key, int device, char *out, size_t size) {
    const char *value = find(key, device);
    if (!value) return NOT_SUPPORTED;
    snprintf(out, size, "%s", value);
    for (char *c = out; *c; c++) if (*c == '_') *c = ' ';
    return 0;
}

static int of(void *handle) { return ((typeof(handles[0]) *)handle)->device; }

int amdsmi_init(uint64_t flags) { (void)flags; return (int)number("init", -1, 0); }

int amdsmi_shut_down(void) { return 0; }

int amdsmi_get_socket_handles(uint32_t *count, void **out) {
    *count = (uint32_t)number("count", -1, 0);
    for (uint32_t i = 0; out && i < *count; i++) {
        handles[i].device = (int)i;
        out[i] = &handles[i];
    }
    return 0;
}

int amdsmi_get_processor_handles(void *socket, uint32_t *count, void **out) {
    *count = 1;
    if (out) out[0] = socket;
    return 0;
}

int amdsmi_get_gpu_memory_total(void *handle, int kind, uint64_t *out) {
    int device = of(handle);
    (void)kind;
    int code = (int)number("fail_total", device, 0);
    *out = (uint64_t)number("total", device, 0) * MIB;
    return code;
}

int amdsmi_get_gpu_memory_usage(void *handle, int kind, uint64_t *out) {
    (void)kind;
    *out = (uint64_t)number("used", of(handle), 0) * MIB;
    return (int)number("fail_used", of(handle), 0);
}

int amdsmi_get_gpu_asic_info(void *handle, asic_t *out) {
    memset(out, 0, sizeof *out);
    out->target_graphics_version = (uint64_t)number("gfx", of(handle), 0x942);
    strcpy(out->asic_serial, "1");
    return text("name", of(handle), out->market_name, sizeof out->market_name);
}

int amdsmi_get_gpu_driver_info(void *handle, driver_t *out) {
    (void)handle;
    memset(out, 0, sizeof *out);
    return text("driver", -1, out->version, sizeof out->version);
}

int amdsmi_get_gpu_enumeration_info(void *handle, numbers_t *out) {
    memset(out, 0, sizeof *out);
    out->hip = (uint32_t)number("hip", of(handle), of(handle));
    return (int)number("fail_numbers", of(handle), 0);
}

int amdsmi_get_gpu_device_uuid(void *handle, uint32_t *size, char *out) {
    return text("uuid", of(handle), out, *size);
}

int amdsmi_get_gpu_compute_partition(void *handle, char *out, uint32_t size) {
    return text("compute", of(handle), out, size);
}

int amdsmi_get_gpu_memory_partition(void *handle, char *out, uint32_t size) {
    return text("memory", of(handle), out, size);
}

int amdsmi_get_gpu_process_list(void *handle, uint32_t *count, void *out) {
    (void)out;
    *count = 0;
    return (int)number("fail_processes", of(handle), 0);
}

int amdsmi_topo_get_link_type(void *from, void *to, uint64_t *hops, uint32_t *kind) {
    (void)to;
    *hops = 1;
    *kind = (uint32_t)number("link", of(from), 2);
    return 0;
}
