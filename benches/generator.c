// What is traced: a process pinned to a CPU that makes system calls when it is told to by a line on its standard input.
//   loop N    N times getppid; says the CPU time that one took, in ns
//   burst N   the same; says the wall time of all, in ns
//   keys N    N times lseek, each with another offset, all of which fail
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(argc > 1 ? atoi(argv[1]) : 0, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus)) {
        perror("sched_setaffinity");
        return 1;
    }
    char what[16];
    long n;
    while (scanf("%15s %ld", what, &n) == 2) {
        // CPU time of this thread: what else runs on the CPU meanwhile doesn't count.
        clockid_t clock = what[0] == 'l' ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
        double start = now(clock);
        if (what[0] == 'k')
            for (long i = 0; i < n; i++)
                syscall(SYS_lseek, -1, i, 0);
        else
            for (long i = 0; i < n; i++)
                syscall(SYS_getppid);
        double took = now(clock) - start;
        printf("%.3f\n", what[0] == 'l' ? took / n : took);
        fflush(stdout);
    }
    return 0;
}
