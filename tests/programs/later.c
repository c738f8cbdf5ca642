// A library that is loaded while its user runs.
__attribute__((noinline)) long later(long n)
{
    __asm__ volatile("" : "+r"(n) : : "memory");
    return n + 1;
}
