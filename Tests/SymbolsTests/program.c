// SPDX-License-Identifier: Apache-2.0
// Prints the addresses of what it is made of, and waits.
#include <stdio.h>

__attribute__((noinline)) void *where(void) { return __builtin_return_address(0); }

static inline __attribute__((always_inline)) void *inlined_open(void) {
    void *place = where();
    __asm__ volatile("" ::: "memory");
    return place;
}

__attribute__((noinline)) void *store_open(void) {
    void *place = inlined_open();
    __asm__ volatile("" ::: "memory");
    return place;
}

int main(void) {
    printf("%p %p\n", (void *)store_open, store_open());
    fflush(stdout);
    getchar();
    return 0;
}
