/* server/main.c - gradd's entry: reads the options and does what they ask for. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/backup.h"
#include "server/check.h"
#include "server/config.h"
#include "server/healthcheck.h"
#include "server/serve.h"

#define EXIT_USAGE 2

static int check_health(const struct config *config)
{
    struct err e;
    if (!healthcheck(&config->address, &e))
        return EXIT_SUCCESS;
    fprintf(stderr, "gradd: %s\n", e.message);
    return EXIT_FAILURE;
}

static int make_backup(const struct config *config)
{
    int64_t bytes;
    struct err e;
    if (backup(config, &bytes, &e)) {
        fprintf(stderr, "gradd: %s\n", e.message);
        return EXIT_FAILURE;
    }
    printf("%s: %" PRId64 " bytes\n", config->operand, bytes);
    return EXIT_SUCCESS;
}

static int verify_file(const struct config *config)
{
    struct err e;
    bool sound;
    if (check(config, stdout, &sound, &e)) {
        fprintf(stderr, "gradd: %s\n", e.message);
        return EXIT_FAILURE;
    }
    return sound ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct config config;
    struct err e;
    if (config_read(&config, argc, argv, getenv, &e)) {
        fprintf(stderr, "gradd: %s\nTry gradd --help.\n", e.message);
        return EXIT_USAGE;
    }
    switch (config.command) {
    case COMMAND_HEALTHCHECK:
        return check_health(&config);
    case COMMAND_BACKUP:
        return make_backup(&config);
    case COMMAND_VERIFY:
        return verify_file(&config);
    case COMMAND_HELP:
        config_print_help(stdout);
        return EXIT_SUCCESS;
    case COMMAND_HELP_MARKDOWN:
        config_print_markdown(stdout);
        return EXIT_SUCCESS;
    case COMMAND_VERSION:
        printf("gradd %s\n", GRADD_VERSION);
        return EXIT_SUCCESS;
    case COMMAND_SERVE:
        break;
    }
    return serve(&config);
}
