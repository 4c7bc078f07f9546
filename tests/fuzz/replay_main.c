/* Runs a fuzz target over the files on the command line, in place of libFuzzer: a corpus can be
 * replayed with any compiler. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

/* The whole file in a block of its size. NULL: it cannot be read. */
static uint8_t *read_file(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    long size = -1;
    if (file && fseek(file, 0, SEEK_END) == 0)
        size = ftell(file);
    if (size >= 0 && fseek(file, 0, SEEK_SET) == 0)
        data = malloc(size ? (size_t)size : 1);
    if (data && fread(data, 1, (size_t)size, file) != (size_t)size) {
        free(data);
        data = NULL;
    }
    if (file)
        fclose(file);
    *bytes = (size_t)size;
    return data;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        size_t bytes;
        uint8_t *data = read_file(argv[i], &bytes);
        if (!data) {
            fprintf(stderr, "%s cannot be read\n", argv[i]);
            return 1;
        }
        LLVMFuzzerTestOneInput(data, bytes);
        free(data);
    }
    printf("%d inputs\n", argc - 1);
    return argc > 1 ? 0 : 1;
}
