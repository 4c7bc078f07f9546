/* Options: defaults, environment, command line, bounds, help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "server/config.h"

static const char *const *environment; /* name, value pairs, NULL ends them */

static char *fake_env(const char *name)
{
    for (const char *const *pair = environment; pair && *pair; pair += 2)
        if (!strcmp(pair[0], name))
            return (char *)pair[1];
    return NULL;
}

/* args: without the program's name, NULL ends them. */
static enum err_kind read_args(struct config *c, struct err *e, const char *const *args)
{
    char *argv[16] = {"gradd"};
    int argc = 1;
    for (; *args; args++)
        argv[argc++] = (char *)*args;
    *e = (struct err){.kind = ERR_OK};
    return config_read(c, argc, argv, fake_env, e);
}
#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static int no_environment(void **state)
{
    (void)state;
    environment = NULL;
    return 0;
}

static void test_defaults(void **state)
{
    struct config c;
    struct err e;
    (void)state;
    assert_int_equal(read_args(&c, &e, (const char *const[]){NULL}), ERR_OK);
    assert_int_equal(c.command, COMMAND_SERVE);
    assert_string_equal(c.address.host, "127.0.0.1");
    assert_string_equal(c.address.port, "8080");
    assert_string_equal(c.data, "gradd.db");
    assert_string_equal(c.log, "text");
    assert_string_equal(c.isa, "auto");
    assert_string_equal(c.network_files, "refuse");
    assert_string_equal(c.backup_dir, "");
    assert_null(c.operand);
    assert_string_equal(c.allow_host, "");
    assert_true(c.memory >= 1 << 20);
    assert_int_equal(c.max_body, 256 << 20);
    assert_int_equal(c.max_model_bytes, INT64_C(2) << 30);
    assert_int_equal(c.max_batches, 4096);
    assert_int_equal(c.max_batch_bytes, 1 << 30);
    assert_int_equal(c.queue, 64);
    assert_int_equal(c.queue_bytes, 1 << 30);
    assert_int_equal(c.max_connections, 4096);
    assert_int_equal(c.max_streams, 512);
    assert_int_equal(c.checkpoint_steps, 10000);
    assert_int_equal(c.checkpoint_seconds, 5);
    assert_int_equal(c.autograd_memory, 1 << 30);
    assert_int_equal(c.autograd_seconds, 20);
    assert_int_equal(c.header_seconds, 10);
    assert_int_equal(c.body_seconds, 60);
    assert_int_equal(c.drain_seconds, 10);
    assert_in_range(c.workers, 1, 1024);
    assert_in_range(c.http_threads, 1, 2);
}

static void test_flag_wins_over_environment(void **state)
{
    static const char *const env[] = {"GRADD_WORKERS",
                                      "3",
                                      "GRADD_MAX_BODY",
                                      "1M",
                                      "GRADD_LISTEN",
                                      "[::1]:9000",
                                      "GRADD_DATA",
                                      "",
                                      NULL};
    struct config c;
    struct err e;
    (void)state;
    environment = env;
    assert_int_equal(read_args(&c, &e, ARGS("--workers", "5")), ERR_OK);
    assert_int_equal(c.workers, 5);
    assert_int_equal(c.max_body, 1 << 20);
    assert_string_equal(c.address.host, "::1");
    assert_string_equal(c.address.port, "9000");
    assert_string_equal(c.data, "gradd.db"); /* an empty variable is none */
}

static void test_forms(void **state)
{
    struct config c;
    struct err e;
    (void)state;
    assert_int_equal(read_args(&c, &e, ARGS("--workers=2", "--data=a=b", "--workers", "4")),
                     ERR_OK);
    assert_int_equal(c.workers, 4);
    assert_string_equal(c.data, "a=b");
    assert_int_equal(read_args(&c, &e, ARGS("healthcheck", "--listen", "0.0.0.0:0")), ERR_OK);
    assert_int_equal(c.command, COMMAND_HEALTHCHECK);
    assert_string_equal(c.address.port, "0");
    assert_int_equal(read_args(&c, &e, ARGS("--help")), ERR_OK);
    assert_int_equal(c.command, COMMAND_HELP);
    assert_int_equal(read_args(&c, &e, ARGS("--help=markdown")), ERR_OK);
    assert_int_equal(c.command, COMMAND_HELP_MARKDOWN);
    assert_int_equal(read_args(&c, &e, ARGS("--version")), ERR_OK);
    assert_int_equal(c.command, COMMAND_VERSION);
}

static void test_operands(void **state)
{
    struct config c;
    struct err e;
    (void)state;
    assert_int_equal(read_args(&c, &e, ARGS("backup", "copy.db")), ERR_OK);
    assert_int_equal(c.command, COMMAND_BACKUP);
    assert_string_equal(c.operand, "copy.db");
    assert_int_equal(read_args(&c, &e, ARGS("--data", "x.db", "backup", "--log=json", "a b")),
                     ERR_OK);
    assert_string_equal(c.operand, "a b");
    assert_string_equal(c.data, "x.db");
    assert_string_equal(c.log, "json");
    assert_int_equal(read_args(&c, &e, ARGS("backup", "healthcheck")), ERR_OK);
    assert_int_equal(c.command, COMMAND_BACKUP);
    assert_string_equal(c.operand, "healthcheck");
    assert_int_equal(read_args(&c, &e, ARGS("backup", "--help")), ERR_OK);
    assert_int_equal(c.command, COMMAND_HELP);
}

static void test_wrong_operands(void **state)
{
    static const struct {
        const char *word[3];
        const char *mention;
    } bad[] = {
        {{"backup"}, "backup needs a FILE"},
        {{"backup", "--log", "json"}, "backup needs a FILE"},
        {{"backup", ""}, "\"\""},
        {{"backup", "a", "b"}, "\"b\""},
        {{"backup", "-x"}, "\"-x\""},
        {{"healthcheck", "a"}, "\"a\""},
        {{"copy.db", "backup"}, "\"copy.db\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct config c;
        struct err e;
        const char *const args[] = {bad[i].word[0], bad[i].word[1], bad[i].word[2], NULL};
        assert_int_equal(read_args(&c, &e, args), ERR_INVALID);
        if (!strstr(e.message, bad[i].mention))
            fail_msg("%s: \"%s\"", bad[i].mention, e.message);
    }
}

static void test_units(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } good[] = {{"1024", 1024}, {"1k", 1024}, {"3M", 3 << 20}, {"1G", 1 << 30}};
    struct config c;
    struct err e;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(read_args(&c, &e, ARGS("--max-body", good[i].text)), ERR_OK);
        assert_int_equal(c.max_body, good[i].bytes);
    }
}

static void test_refusals(void **state)
{
    static const struct {
        const char *flag, *value;
        const char *mention; /* in the message */
    } bad[] = {
        {"--workers", "0", "--workers"},
        {"--workers", "1025", "1024"},
        {"--workers", "-1", "--workers"},
        {"--workers", "2x", "2x"},
        {"--workers", "", "--workers"},
        {"--workers", "1k", "1k"},
        {"--workers", "99999999999999999999", "--workers"},
        {"--queue", "auto", "--queue"},
        {"--memory", "1023k", "--memory"},
        {"--max-body", "1T", "1T"},
        {"--max-body", "9223372036854775807G", "--max-body"},
        {"--max-body", "1kk", "1kk"},
        {"--max-body", "1023", "1024"},
        {"--max-body", "2G", "queue-bytes"},
        {"--max-streams", "2049", "max-connections"},
        {"--log", "xml", "text|json"},
        {"--log", "tex", "text|json"},
        {"--log", "", "text|json"},
        {"--isa", "text|json", "avx512"},
        {"--network-files", "maybe", "refuse|allow"},
        {"--listen", "8080", "HOST:PORT"},
        {"--listen", ":8080", "HOST:PORT"},
        {"--listen", "::1:8080", "HOST:PORT"},
        {"--listen", "a:65536", "HOST:PORT"},
        {"--listen", "a:-1", "HOST:PORT"},
        {"--listen", "a:", "HOST:PORT"},
        {"--drain-seconds", "1.5", "--drain-seconds"},
        {"--workerz", "1", "--workerz"},
        {"-w", "1", "-w"},
        {"-", NULL, "\"-\""},
        {"serve", "1", "serve"},
        {"--", "1", "--"},
        {"--data", NULL, "FILE"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct config c;
        struct err e;
        const char *const args[] = {bad[i].flag, bad[i].value, NULL};
        assert_int_equal(read_args(&c, &e, args), ERR_INVALID);
        if (!strstr(e.message, bad[i].mention))
            fail_msg("%s %s: \"%s\"", bad[i].flag, bad[i].value, e.message);
    }
}

static void test_wrong_variable_is_named(void **state)
{
    static const char *const env[] = {"GRADD_QUEUE", "many", NULL};
    struct config c;
    struct err e;
    (void)state;
    environment = env;
    assert_int_equal(read_args(&c, &e, (const char *const[]){NULL}), ERR_INVALID);
    assert_non_null(strstr(e.message, "GRADD_QUEUE"));
    assert_non_null(strstr(e.message, "many"));
}

static char *print(void (*printer)(FILE *))
{
    char *text;
    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);
    assert_non_null(f);
    printer(f);
    fclose(f);
    return text;
}

static void test_help_names_every_option(void **state)
{
    static const char *const flag[] = {"listen",
                                       "data",
                                       "workers",
                                       "http-threads",
                                       "network-files",
                                       "backup-dir",
                                       "log",
                                       "isa",
                                       "memory",
                                       "max-body",
                                       "max-model-bytes",
                                       "max-batches",
                                       "queue",
                                       "max-batch-bytes",
                                       "queue-bytes",
                                       "checkpoint-steps",
                                       "checkpoint-seconds",
                                       "allow-host",
                                       "header-seconds",
                                       "max-connections",
                                       "body-seconds",
                                       "drain-seconds"};
    char *help = print(config_print_help), *table = print(config_print_markdown);
    (void)state;
    for (size_t i = 0; i < sizeof flag / sizeof flag[0]; i++) {
        char text[64], row[64];
        snprintf(text, sizeof text, "  --%s ", flag[i]);
        snprintf(row, sizeof row, "| `--%s ", flag[i]);
        assert_non_null(strstr(help, text));
        assert_non_null(strstr(table, row));
    }
    assert_non_null(strstr(help, "\n  gradd backup FILE [OPTION…]\n"));
    assert_non_null(strstr(help, "\n  gradd healthcheck [OPTION…]\n"));
    assert_non_null(strstr(table, "`GRADD_MAX_MODEL_BYTES` | 2G"));
    assert_non_null(strstr(table, "text\\|json"));
    free(help);
    free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults, no_environment),
        cmocka_unit_test_setup(test_flag_wins_over_environment, no_environment),
        cmocka_unit_test_setup(test_forms, no_environment),
        cmocka_unit_test_setup(test_operands, no_environment),
        cmocka_unit_test_setup(test_wrong_operands, no_environment),
        cmocka_unit_test_setup(test_units, no_environment),
        cmocka_unit_test_setup(test_refusals, no_environment),
        cmocka_unit_test_setup(test_wrong_variable_is_named, no_environment),
        cmocka_unit_test_setup(test_help_names_every_option, no_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
