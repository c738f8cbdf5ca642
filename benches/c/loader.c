// loader OBJECT [PID [KEYS]]: what a C programmer would write around a program. Loads and attaches it (but XDP, which is run on
// packets by others), says "ready", writes the events of `ring` as they come, and at the end (SIGINT; at once without a PID) the
// keys of `counts`.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;

static void stop(int signal) {
    stopped = signal;
}

struct event {
    unsigned pid, number;
    char comm[16];
};

static int show(void *context, void *data, size_t size) {
    struct event *e = data;
    fprintf(context, "%u %s %u\n", e->pid, e->comm, e->number);
    return 0;
}

struct entry {
    unsigned long long key, count;
};

static int by_count(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    return x->count != y->count ? (x->count > y->count) - (x->count < y->count) : (x->key > y->key) - (x->key < y->key);
}

static void show_keys(int map, unsigned keys) {
    int cpus = libbpf_num_possible_cpus();
    unsigned long long *found = malloc(8ul * keys), *values = malloc(8ul * keys * cpus);
    struct entry *entries = malloc(sizeof *entries * keys);
    unsigned cursor = 0, total = 0;
    for (int done = 0; !done && total < keys;) {
        unsigned count = keys - total > 65536 ? 65536 : keys - total;
        done = bpf_map_lookup_batch(map, total ? &cursor : NULL, &cursor, found + total, values + (size_t)total * cpus, &count, NULL);
        total += count;
    }
    for (unsigned i = 0; i < total; i++) {
        entries[i] = (struct entry){found[i], 0};
        for (int cpu = 0; cpu < cpus; cpu++)
            entries[i].count += values[(size_t)i * cpus + cpu];
    }
    qsort(entries, total, sizeof *entries, by_count);
    for (unsigned i = 0; i < total; i++)
        printf("@[%llu]: %llu\n", entries[i].key, entries[i].count);
}

int main(int argc, char **argv) {
    signal(SIGINT, stop);
    unsigned pid = argc > 2 ? atoi(argv[2]) : 0, keys = argc > 3 ? atoi(argv[3]) : 0;
    struct bpf_object *object = bpf_object__open(argv[1]);
    if (!object)
        return 1;
    struct bpf_map *map;
    bpf_object__for_each_map(map, object) {
        size_t size;
        void *start = (void *)bpf_map__initial_value(map, &size);
        if (strstr(bpf_map__name(map), ".rodata") && start)
            memcpy(start, &pid, sizeof pid);
        if (keys && !strcmp(bpf_map__name(map), "counts"))
            bpf_map__set_max_entries(map, keys);
    }
    if (bpf_object__load(object))
        return 1;
    struct bpf_program *program;
    bpf_object__for_each_program(program, object) {
        if (!strcmp(bpf_program__name(program), "begin")) {
            LIBBPF_OPTS(bpf_test_run_opts, options);
            bpf_prog_test_run_opts(bpf_program__fd(program), &options);
        } else if (bpf_program__type(program) != BPF_PROG_TYPE_XDP && !bpf_program__attach(program))
            return 1;
    }
    static char buffer[1 << 20];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    printf("ready\n");
    fflush(stdout);
    struct bpf_map *ring = bpf_object__find_map_by_name(object, "ring");
    if (pid && ring) {
        struct ring_buffer *reader = ring_buffer__new(bpf_map__fd(ring), show, stdout, NULL);
        if (!reader)
            return 1;
        while (!stopped) {
            if (ring_buffer__consume(reader) == 0)
                fflush(stdout);
            usleep(1000);
        }
        ring_buffer__consume(reader);
    } else
        while (pid && !stopped)
            pause();
    if (keys)
        show_keys(bpf_object__find_map_fd_by_name(object, "counts"), keys);
    return 0;
}
