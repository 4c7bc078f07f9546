#include "tests/bench/blas.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static const struct blas known[BLAS_COUNT] = {
    {"OpenBLAS", "libopenblas.so.0", NULL},
    {"BLIS", "libblis.so.4", NULL},
};

/* Read by the libraries when they are loaded, whichever threading they were built for. */
static void use_one_thread(void)
{
    static const char *const variable[] = {"OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS",
                                           "OMP_NUM_THREADS"};
    for (size_t i = 0; i < sizeof variable / sizeof *variable; i++)
        setenv(variable[i], "1", 1);
}

bool blas_open(struct blas blas[BLAS_COUNT])
{
    use_one_thread();
    for (int i = 0; i < BLAS_COUNT; i++) {
        blas[i] = known[i];
        void *library = dlopen(known[i].file, RTLD_NOW | RTLD_LOCAL);
        if (library) /* POSIX's way from an object pointer to a function's */
            *(void **)&blas[i].sgemm = dlsym(library, "cblas_sgemm");
        if (!blas[i].sgemm) {
            fprintf(stderr, "%s\n", dlerror());
            return false;
        }
    }
    return true;
}
