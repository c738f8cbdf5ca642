// measure FILE COMMAND...: runs the command and writes to FILE: wall ns, CPU us, peak RSS KiB, status.
// A small process of its own, since the peak RSS of a child includes that of the parent that it was forked from.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t child;

static void pass_on(int signal) {
    kill(child, signal);
}

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    child = vfork();
    if (child == 0) {
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    signal(SIGINT, pass_on);
    int status;
    struct rusage use;
    while (wait4(child, &status, 0, &use) < 0)
        ;
    clock_gettime(CLOCK_MONOTONIC, &b);
    FILE *out = fopen(argv[1], "w");
    if (!out)
        return 2;
    long cpu = (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000 + use.ru_utime.tv_usec + use.ru_stime.tv_usec;
    fprintf(out, "%.0f %ld %ld %d\n", (b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec), cpu, use.ru_maxrss, status);
    return fclose(out) ? 2 : 0;
}
