// What all cases begin with.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define MAP(name, map_type, key_type, value_type, entries) \
    struct {                                               \
        __uint(type, map_type);                            \
        __type(key, key_type);                             \
        __type(value, value_type);                         \
        __uint(max_entries, entries);                      \
    } name SEC(".maps")
