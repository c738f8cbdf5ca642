// More arguments than registers hold: six on x86-64, eight on arm64. The others are on the stack.
unsigned int counter = 41;
char table[40] = "a table";
__attribute__((noinline)) long many(long a, long b, long c, long d, long e, long f, long g, long h, long i, long j) {
    __asm__ volatile("" : : : "memory");
    counter += 1;
    return a + b + c + d + e + f + g * h + i - j;
}
int main(void) {
    long sum = 0;
    for (long k = 0; k < 5; k++)
        sum += many(1, 2, 3, 4, 5, 6, 100 + k, 200 + k, 300 + k, 400 + k);
    return sum == table[0];
}
