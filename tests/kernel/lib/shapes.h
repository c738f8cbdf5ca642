#ifndef SHAPES
#define SHAPES
#define LIMIT 100
#define SIDES(n) ((n) * 2)
#ifdef __cplusplus
extern "C" {
#endif
typedef unsigned int u32_t;
struct point { u32_t x, y; };
enum kind { FLAT, ROUND = 7 };
struct shape { enum kind kind; struct point at; char name[8]; } __attribute__((packed));
int area(const struct shape *s);
static inline int sides(int n) { return n * 2; }
#endif
