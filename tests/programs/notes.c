// Static probes as <sys/sdt.h> writes them down.
#define NOTE(provider, name, semaphore, args) \
    "990: nop\n.pushsection .note.stapsdt,\"?\",\"note\"\n.balign 4\n.4byte 992f-991f, 994f-993f, 3\n" \
    "991: .asciz \"stapsdt\"\n992: .balign 4\n" \
    "993: .8byte 990b, _.stapsdt.base, " semaphore "\n" \
    ".asciz \"" provider "\"\n.asciz \"" name "\"\n.asciz \"" args "\"\n" \
    "994: .balign 4\n.popsection\n"
__asm__(".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"
        ".weak _.stapsdt.base\n.hidden _.stapsdt.base\n_.stapsdt.base: .space 1\n.size _.stapsdt.base, 1\n.popsection\n");
__attribute__((section(".probes"), used)) volatile unsigned short guard __asm__("guard") = 0;
static int table[10];
int main(void) {
    for (int i = 0; i < 10; i++)
        table[i] = 3 * i;
    for (long i = 0; i < 10; i++) {
        volatile int less = -(int)i;
        int *start = table;
#ifdef __aarch64__
        register long at __asm__("x2") = i;
        register int *from __asm__("x1") = start;
        __asm__ volatile(NOTE("app", "step", "0", "-4@x2 -4@%0 4@5 -2@-7 4@[x1, x2, lsl 2] 8@[x3, :lo12:table] 8f@d0")
                         : : "m"(less), "r"(at), "r"(from));
        __asm__ volatile(NOTE("app", "half", "0", "4@1000"));
        if (i % 2)
            __asm__ volatile(NOTE("other", "half", "0", "8@x2") NOTE("app", "half", "0", "8@x2") : : "r"(at));
#else
        __asm__ volatile(NOTE("app", "step", "0", "-4@%%edx -4@%0 4@$5 -2@$-7 4@(%%rsi,%%rdx,4) 8@table(%%rip) 8f@%%xmm0")
                         : : "m"(less), "d"(i), "S"(start));
        __asm__ volatile(NOTE("app", "half", "0", "4@$1000"));
        if (i % 2)
            __asm__ volatile(NOTE("other", "half", "0", "8@%%rdx") NOTE("app", "half", "0", "8@%%rdx") : : "d"(i));
#endif
    }
    for (int i = 0; i < 7; i++)
        if (guard) {
#ifdef __aarch64__
            register int at __asm__("x0") = i;
            __asm__ volatile(NOTE("app", "guarded", "guard", "4@x0") : : "r"(at));
#else
            __asm__ volatile(NOTE("app", "guarded", "guard", "4@%%eax") : : "a"(i));
#endif
        }
    return guard;
}
