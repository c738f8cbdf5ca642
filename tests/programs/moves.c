// What tests probe: threads, children and libraries that come and go, each as often as it is told. Plain `gcc -O1 -g` with
// `-rdynamic` suffices.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <linux/vm_sockets.h>
#include <unistd.h>

// where watchpoints look
static volatile long *const watched = (volatile long *)0x10000000;
static long count;

__attribute__((noinline)) long step(long n)
{
    __asm__ volatile("" : "+r"(n) : : "memory");
    return n + 1;
}

// ends when it is killed
__attribute__((noinline)) long stay(long n)
{
    for (;;)
        pause();
    return n;
}

static void wait_ms(long ms)
{
    usleep(1000 * ms);
}

// a file that says that threads may go on
static const char *gate;

static void pass(const char *file)
{
    while (file && access(file, F_OK) != 0)
        wait_ms(2);
}

static void *nothing(void *unused)
{
    return unused;
}

static void *writer(void *unused)
{
    pass(gate);
    for (long i = 0; i < count; i++)
        *watched = i;
    return unused;
}

static void *caller(void *unused)
{
    pass(gate);
    for (long i = 0; i < count; i++)
        step(i);
    return unused;
}

static void all(long threads, void *(*what)(void *))
{
    pthread_t t[64];
    for (long i = 0; i < threads; i++)
        pthread_create(&t[i], NULL, what, NULL);
    for (long i = 0; i < threads; i++)
        pthread_join(t[i], NULL);
}

static void steps(long n)
{
    for (long i = 0; i < n; i++)
        step(i);
}

// Words are done one after the other: `NAME` or `NAME=NUMBER` or `NAME=TEXT`.
int main(int argc, char **argv)
{
    if (mmap((void *)watched, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        return 2;
    void *library = NULL;
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        long n = value ? atol(value + 1) : 0;
        size_t len = value ? (size_t)(value - argv[i]) : strlen(argv[i]);
        int is(const char *name) { return strlen(name) == len && strncmp(argv[i], name, len) == 0; }
        if (is("count"))
            count = n;
        else if (is("write-threads"))
            all(n, writer);
        else if (is("step-threads"))
            all(n, caller);
        else if (is("write")) {
            count = n;
            writer(NULL);
        } else if (is("step"))
            steps(n);
        else if (is("sleep"))
            wait_ms(n);
        else if (is("gate"))
            gate = value + 1;
        else if (is("wait-for"))
            pass(value + 1);
        else if (is("churn-until")) {
            // threads that do nothing, one after the other
            while (access(value + 1, F_OK) != 0)
                all(2, nothing);
        } else if (is("fork")) {
            // children that do the rest, and this one waits for them and ends
            int children = 0;
            pid_t parent = getpid();
            for (; children < n; children++)
                if (fork() == 0) {
                    // a parent that is killed takes its children along
                    prctl(PR_SET_PDEATHSIG, SIGKILL);
                    if (getppid() != parent)
                        return 0;
                    break;
                }
            if (children == n) {
                while (wait(NULL) > 0)
                    ;
                return 0;
            }
        } else if (is("exec")) {
            // the rest by another program
            argv[i] = value + 1;
            execvp(argv[i], argv + i);
            return 3;
        } else if (is("load")) {
            library = dlopen(value + 1, RTLD_NOW);
            if (!library) {
                fprintf(stderr, "%s\n", dlerror());
                return 4;
            }
        } else if (is("later")) {
            long (*later)(long) = (long (*)(long))dlsym(library, "later");
            for (long k = 0; k < n; k++)
                later(k);
        } else if (is("stay"))
            stay(1);
        else if (is("kill-in-call")) {
            // a child is killed while it is in a function whose return is probed
            pid_t child = fork();
            if (child == 0)
                return (int)stay(1);
            wait_ms(100);
            kill(child, SIGKILL);
            waitpid(child, NULL, 0);
        } else if (is("vsock")) {
            // calls where nobody listens: each is a packet with a request, and one that refuses
            for (long k = 0; k < n; k++) {
                struct sockaddr_vm to = { .svm_family = AF_VSOCK, .svm_cid = 1, .svm_port = 9999 };
                int s = socket(AF_VSOCK, SOCK_STREAM, 0);
                connect(s, (struct sockaddr *)&to, sizeof to);
                close(s);
            }
        } else if (is("say"))
            printf("%s\n", value + 1), fflush(stdout);
        else
            return 5;
    }
    return 0;
}
