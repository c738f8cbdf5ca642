// Parameters and results of all kinds, told by debug information.
enum kind { PLAIN, FANCY = 7 };
struct part { int weight : 5; int colour : 3; unsigned char tag; };
struct item { struct item *next; enum kind kind; const char *name; char label[8]; struct part part; union { int whole; short half; }; };
typedef struct { long a, b, c; } big_t;
struct pair { int x; int y; };
#define KEEP __attribute__((noinline, noipa))
KEEP int take(struct item *item, short n, double d, unsigned char c, big_t big, const char *const text) {
    __asm__ volatile("" ::: "memory");
    return -n;
}
KEEP long many(int a, int b, int c, int d, int e, int f, short g, int i, struct pair p, char h) { __asm__ volatile("" ::: "memory"); return a + h; }
KEEP big_t wide(int n) { __asm__ volatile("" ::: "memory"); big_t b = { n, n, n }; return b; }
KEEP struct item *next(struct item *item) { __asm__ volatile("" ::: "memory"); return item->next; }
int main(void) {
    struct item last = { 0, FANCY, "last", "zz", { 3, -2, 200 }, { 70000 } }, first = { &last, PLAIN, "first", "aa", { -4, 1, 9 }, { 5 } };
    long sum = 0;
    for (int i = 0; i < 5; i++) {
        big_t big = { i, 10 * i, 100 * i };
        sum += take(&first, (short)(i - 3), 0.5, (unsigned char)(250 + i), big, "words");
        sum += many(1, 2, 3, 4, 5, 6, (short)-7, 77, (struct pair){ 8, 9 }, 'h') + wide(i).b + (next(&first) == &last);
    }
    return sum == 12345;
}
