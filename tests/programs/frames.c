// Stacks without frame pointers (`gcc -O2 -fomit-frame-pointer`): each function is called by the one below it, and none in the
// place of its caller. Words say what is done: `chain` `signal` `asks` `spin`; without any `chain`.
#define _GNU_SOURCE
#include <alloca.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OWN __attribute__((noinline, noclone))

static volatile int sum;

OWN int inner(int n)
{
    sum += n;
    return sum;
}

// called by the C library
OWN int compare(const void *a, const void *b)
{
    int order = *(const int *)a - *(const int *)b;
    sum += inner(order);
    return order;
}

OWN int searches(int n)
{
    // not the one that headers put in the place of the call
    void *(*volatile search)(const void *, const void *, size_t, size_t, int (*)(const void *, const void *)) = bsearch;
    int key = n, table[1] = {n};
    sum += search(&key, table, 1, sizeof key, compare) != NULL;
    return sum;
}

// The compiler can't tell how large its frame is: rbp holds the place.
OWN int grows(int n)
{
    char *room = alloca(n * 16);
    memset(room, n, n * 16);
    sum += searches(n) + room[n];
    return sum;
}

// Its frame begins at a round address, and it still finds what its caller has put on the stack.
OWN int rounded(int a, int b, int c, int d, int e, int f, int g, int h)
{
    volatile char table[256] __attribute__((aligned(64)));
    char *room = alloca(g);
    memset(room, h, g);
    table[a & 255] = room[0];
    sum += grows(a) + table[b & 255] + c + d + e + f + g + h;
    return sum;
}

// a call that never comes back
OWN void leaves(int n)
{
    inner(n);
    _exit(0);
}

OWN int calls_itself(int n)
{
    sum += n > 0 ? calls_itself(n - 1) : rounded(5, 2, 3, 4, 5, 6, 7, 8);
    return sum;
}

OWN void handler(int signal)
{
    sum += inner(signal);
}

OWN int raises(void)
{
    sum += raise(SIGUSR1);
    return sum;
}

OWN int asks(void)
{
    sum += getppid();
    return sum;
}

OWN int spin(int n)
{
    for (int i = 0; i < n; i++)
        sum += i;
    return sum;
}

OWN int spins(void)
{
    sum += spin(200000000);
    return sum;
}

int main(int argc, char **argv)
{
    signal(SIGUSR1, handler);
    for (int i = 0; i < argc; i++) {
        const char *word = argc > 1 ? argv[i] : "chain";
        if (strcmp(word, "chain") == 0)
            sum += calls_itself(3);
        if (strcmp(word, "signal") == 0)
            sum += raises();
        if (strcmp(word, "asks") == 0)
            sum += asks();
        if (strcmp(word, "spin") == 0)
            sum += spins();
        if (strcmp(word, "leave") == 0)
            leaves(1);
    }
    return 0;
}
