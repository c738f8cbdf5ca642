// What a C programmer would write for each case: raw tracepoints, per-CPU arrays and hashes. One object for each -DCASE_NAME.
#include "case.h"
#include <bpf/bpf_tracing.h>

const volatile __u32 traced;

#if defined(__TARGET_ARCH_arm64)
#define GETPPID 173
#define LSEEK 62
#else
#define GETPPID 110
#define LSEEK 8
#endif

struct comm {
    char text[16];
};

#define ENTER(number)                                                                  \
    SEC("raw_tp/sys_enter")                                                            \
    int enter(struct bpf_raw_tracepoint_args *ctx) {                                   \
        if (ctx->args[1] != number)                                                    \
            return 0;                                                                  \
        BODY                                                                           \
    }
#define OURS                                          \
    __u64 id = bpf_get_current_pid_tgid();            \
    if (id >> 32 != traced)                           \
        return 0;
#define INCREMENT(map, key_type, make)                \
    key_type key;                                     \
    __builtin_memset(&key, 0, sizeof key);            \
    make;                                             \
    __u64 *n = bpf_map_lookup_elem(&map, &key);       \
    if (n) {                                          \
        ++*n;                                         \
        return 0;                                     \
    }                                                 \
    __u64 one = 1;                                    \
    bpf_map_update_elem(&map, &key, &one, BPF_NOEXIST); \
    return 0;

static __always_inline __u32 log2_of(__u64 v) {
    __u32 r = 0, s;
    s = (v > 0xffffffffull) << 5, v >>= s, r |= s;
    s = (v > 0xffff) << 4, v >>= s, r |= s;
    s = (v > 0xff) << 3, v >>= s, r |= s;
    s = (v > 0xf) << 2, v >>= s, r |= s;
    s = (v > 0x3) << 1, v >>= s, r |= s;
    return r | (v > 1);
}

#if defined(CASE_begin)
SEC("raw_tp")
int begin(void *ctx) {
    return 0;
}
#elif defined(CASE_empty)
#define BODY return 0;
ENTER(GETPPID)
#elif defined(CASE_filter)
MAP(counts, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, 1);
#define BODY                                             \
    if (bpf_get_current_pid_tgid() >> 32 != 1)           \
        return 0;                                        \
    INCREMENT(counts, __u32, )
ENTER(GETPPID)
#elif defined(CASE_count) || defined(CASE_one)
MAP(counts, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, 1);
#define BODY OURS INCREMENT(counts, __u32, )
ENTER(GETPPID)
#elif defined(CASE_pid)
MAP(counts, BPF_MAP_TYPE_PERCPU_HASH, __u32, __u64, 4096);
#define BODY OURS INCREMENT(counts, __u32, key = id >> 32)
ENTER(GETPPID)
#elif defined(CASE_comm)
MAP(counts, BPF_MAP_TYPE_PERCPU_HASH, struct comm, __u64, 4096);
#define BODY OURS INCREMENT(counts, struct comm, bpf_get_current_comm(&key, sizeof key))
ENTER(GETPPID)
#elif defined(CASE_hist)
MAP(counts, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, 66);
#define BODY OURS INCREMENT(counts, __u32, key = ctx->args[1] ? 1 + log2_of(ctx->args[1]) : 0)
ENTER(GETPPID)
#elif defined(CASE_lhist)
MAP(counts, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, 102);
#define BODY                                                                                             \
    OURS INCREMENT(counts, __u32, __s64 v = ctx->args[1]; key = v < 0 ? 0 : v >= 1000 ? 101 : 1 + v / 10u)
ENTER(GETPPID)
#elif defined(CASE_stats)
struct stats {
    __u64 count, total;
};
MAP(counts, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct stats, 1);
#define BODY                                                        \
    OURS __u32 zero = 0;                                            \
    struct stats *s = bpf_map_lookup_elem(&counts, &zero);          \
    if (s)                                                          \
        s->count++, s->total += ctx->args[1];                       \
    return 0;
ENTER(GETPPID)
#elif defined(CASE_pair)
MAP(starts, BPF_MAP_TYPE_HASH, __u32, __u64, 4096);
MAP(counts, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, 66);
#define BODY                                               \
    OURS __u32 tid = id;                                   \
    __u64 at = bpf_ktime_get_boot_ns();                    \
    bpf_map_update_elem(&starts, &tid, &at, BPF_ANY);      \
    return 0;
ENTER(GETPPID)
SEC("raw_tp/sys_exit")
int leave(struct bpf_raw_tracepoint_args *ctx) {
    __u64 number;
    struct pt_regs *regs = (void *)ctx->args[0];
#if defined(__TARGET_ARCH_arm64)
    bpf_probe_read_kernel(&number, 8, (void *)regs + 280);
#else
    bpf_probe_read_kernel(&number, 8, (void *)regs + 120);
#endif
    if (number != GETPPID)
        return 0;
    __u32 tid = bpf_get_current_pid_tgid();
    __u64 *at = bpf_map_lookup_elem(&starts, &tid);
    if (!at)
        return 0;
    __u64 took = bpf_ktime_get_boot_ns() - *at;
    bpf_map_delete_elem(&starts, &tid);
    INCREMENT(counts, __u32, key = took ? 1 + log2_of(took) : 0)
}
#elif defined(CASE_all)
MAP(counts, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, 512);
SEC("raw_tp/sys_enter")
int enter(struct bpf_raw_tracepoint_args *ctx) {
    if (bpf_get_current_pid_tgid() >> 32 != 0)
        return 0;
    INCREMENT(counts, __u32, key = ctx->args[1])
}
#elif defined(CASE_stream)
struct event {
    __u32 pid, number;
    struct comm comm;
};
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 20);
} ring SEC(".maps");
MAP(lost, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, 1);
#define BODY                                                                 \
    OURS struct event *e = bpf_ringbuf_reserve(&ring, sizeof *e, 0);         \
    if (e) {                                                                 \
        e->pid = id >> 32;                                                   \
        e->number = ctx->args[1];                                            \
        bpf_get_current_comm(&e->comm, sizeof e->comm);                      \
        /* the reader looks each ms by itself */                             \
        bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);                             \
        return 0;                                                            \
    }                                                                        \
    INCREMENT(lost, __u32, )
ENTER(GETPPID)
#elif defined(CASE_keys)
MAP(counts, BPF_MAP_TYPE_PERCPU_HASH, __u64, __u64, 1);
#define BODY                                                                                      \
    OURS __u64 offset;                                                                            \
    struct pt_regs *regs = (void *)ctx->args[0];                                                  \
    bpf_probe_read_kernel(&offset, 8, &PT_REGS_PARM2(regs));                                      \
    INCREMENT(counts, __u64, key = offset)
#include <asm/ptrace.h>
ENTER(LSEEK)
#endif
