#include "server/config.h"

#include <ctype.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/limits.h"

enum option_kind {
    OPTION_TEXT,
    OPTION_ADDRESS,
    OPTION_CHOICE, /* one of the words of `value`, which has | between them */
    OPTION_COUNT,  /* an integer; "auto" (kept as 0) where that is the default */
    OPTION_BYTES,  /* the same with k, M or G (powers of 1024) behind it */
};

struct option {
    const char *flag;
    const char *value; /* what the help calls it */
    enum option_kind kind;
    size_t field; /* of struct config */
    const char *fallback;
    int64_t min, max;
    const char *help;
};

#define FIELD(name) offsetof(struct config, name)
#define TIB         (INT64_C(1) << 40)

/* clang-format off */
static const struct option options[] = {
    {"listen", "HOST:PORT", OPTION_ADDRESS, FIELD(listen), "127.0.0.1:8080", 0, 0,
     "address to listen on, [::1]:8080 for IPv6; port 0 picks a free one"},
    {"data", "FILE", OPTION_TEXT, FIELD(data), "gradd.db", 0, 0,
     "file that holds everything; made if it is not there"},
    {"network-files", "refuse|allow", OPTION_CHOICE, FIELD(network_files), "refuse", 0, 0,
     "a data file on a network file system, where its locks may not hold and its log may be lost"},
    {"backup-dir", "DIR", OPTION_TEXT, FIELD(backup_dir), "", 0, 0,
     "folder in which POST /admin/backup makes backups; none: the data file's"},
    {"workers", "N", OPTION_COUNT, FIELD(workers), "auto", 1, 1024,
     "threads that train and predict; auto: one a CPU"},
    {"http-threads", "N", OPTION_COUNT, FIELD(http_threads), "auto", 1, 64,
     "threads that speak HTTP; auto: 2, or 1 on a single CPU"},
    {"log", "text|json", OPTION_CHOICE, FIELD(log), "text", 0, 0,
     "form of the log's lines, on stderr"},
    {"isa", "auto|avx512|avx2|baseline", OPTION_CHOICE, FIELD(isa), "auto", 0, 0,
     "instruction set of the kernels; the results are the same bits"},
    {"memory", "BYTES", OPTION_BYTES, FIELD(memory), "auto", 1 << 20, TIB,
     "memory for models and batches, the least recently used of which are put away; auto: half of "
     "what the cgroup or the machine has"},
    {"max-body", "BYTES", OPTION_BYTES, FIELD(max_body), "256M", 1024, TIB,
     "largest body of a request"},
    {"max-model-bytes", "BYTES", OPTION_BYTES, FIELD(max_model_bytes), "2G", 1024, TIB,
     "largest model, counted by its parameters"},
    {"max-batches", "N", OPTION_COUNT, FIELD(max_batches), "4096", 1, INT32_MAX,
     "pushed batches a model may have"},
    {"max-batch-bytes", "BYTES", OPTION_BYTES, FIELD(max_batch_bytes), "1G", 1024, TIB,
     "bytes of a model's pushed batches together"},
    {"queue", "N", OPTION_COUNT, FIELD(queue), "64", 1, 1 << 20,
     "calls of one model that may wait or run; one more is answered 429"},
    {"queue-bytes", "BYTES", OPTION_BYTES, FIELD(queue_bytes), "1G", 1024, TIB,
     "bytes of all bodies in flight; what would go over is answered 503"},
    {"max-connections", "N", OPTION_COUNT, FIELD(max_connections), "4096", 16, 1 << 20,
     "connections at a time"},
    {"max-streams", "N", OPTION_COUNT, FIELD(max_streams), "auto", 1, 1 << 20,
     "connections that may listen to events, one more is answered 503; at most half of all, auto: an "
     "eighth"},
    {"checkpoint-steps", "N", OPTION_COUNT, FIELD(checkpoint_steps), "10000", 1, INT32_MAX,
     "without a journal (durability none): a checkpoint at the latest after so many steps"},
    {"checkpoint-seconds", "N", OPTION_COUNT, FIELD(checkpoint_seconds), "5", 1, 86400,
     "without a journal: a checkpoint at the latest so long after the first change"},
    {"autograd-memory", "BYTES", OPTION_BYTES, FIELD(autograd_memory), "1G", 1024, TIB,
     "memory of all programs of /autograd together"},
    {"autograd-seconds", "N", OPTION_COUNT, FIELD(autograd_seconds), "20", 1, 86400,
     "time that a program may run"},
    {"header-seconds", "N", OPTION_COUNT, FIELD(header_seconds), "10", 1, 3600,
     "time a client has to send a request's headers"},
    {"body-seconds", "N", OPTION_COUNT, FIELD(body_seconds), "60", 1, 86400,
     "time a client has to send a request's body"},
    {"drain-seconds", "N", OPTION_COUNT, FIELD(drain_seconds), "10", 0, 3600,
     "time that running calls have to end after SIGTERM"},
    {"allow-host", "NAME[,NAME]", OPTION_TEXT, FIELD(allow_host), "", 0, 0,
     "Host and Origin names served besides loopback and the listen address; * for any"},
};
/* clang-format on */
#define OPTION_COUNT_ALL (sizeof options / sizeof options[0])

/* ---- one value ----------------------------------------------------------------------------- */

/* false: no integer with an optional unit, or over INT64_MAX. */
static bool parse_integer(const char *text, bool units, int64_t *out)
{
    static const char unit[] = "kMG";
    size_t digits = strspn(text, "0123456789");
    if (digits == 0)
        return false;
    *out = 0;
    for (size_t i = 0; i < digits; i++) {
        if (__builtin_mul_overflow(*out, 10, out) ||
            __builtin_add_overflow(*out, text[i] - '0', out))
            return false;
    }
    const char *rest = text + digits;
    if (units && *rest && strchr(unit, *rest)) {
        for (const char *u = unit; u <= strchr(unit, *rest); u++)
            if (__builtin_mul_overflow(*out, 1024, out))
                return false;
        rest++;
    }
    return *rest == '\0';
}

static bool is_choice(const char *choices, const char *text)
{
    size_t bytes = strlen(text);
    for (const char *word = choices; *word; word += strcspn(word, "|"), word += *word == '|')
        if (bytes > 0 && strcspn(word, "|") == bytes && !memcmp(word, text, bytes))
            return true;
    return false;
}

static enum err_kind set_number(const struct option *o, const char *text, const char *name,
                                int64_t *out, struct err *e)
{
    if (!strcmp(text, "auto") && !strcmp(o->fallback, "auto")) {
        *out = 0;
        return ERR_OK;
    }
    if (!parse_integer(text, o->kind == OPTION_BYTES, out) || *out < o->min || *out > o->max)
        return err_set(e, ERR_INVALID, "", "%s must be %" PRId64 " to %" PRId64 "%s, got \"%s\"",
                       name, o->min, o->max, o->kind == OPTION_BYTES ? " bytes" : "", text);
    return ERR_OK;
}

/* name: of the flag or the variable, for the message. */
static enum err_kind set_option(struct config *c, const struct option *o, const char *text,
                                const char *name, struct err *e)
{
    void *field = (char *)c + o->field;
    switch (o->kind) {
    case OPTION_COUNT:
    case OPTION_BYTES:
        return set_number(o, text, name, field, e);
    case OPTION_CHOICE:
        if (!is_choice(o->value, text))
            return err_set(e, ERR_INVALID, "", "%s must be %s, got \"%s\"", name, o->value, text);
        break;
    case OPTION_ADDRESS:
        if (!address_parse(text, &c->address))
            return err_set(e, ERR_INVALID, "", "%s must be HOST:PORT, got \"%s\"", name, text);
        break;
    case OPTION_TEXT:
        break;
    }
    *(const char **)field = text;
    return ERR_OK;
}

/* ---- the environment ----------------------------------------------------------------------- */

#define NAME_BYTES 48

static void variable_name(const struct option *o, char out[NAME_BYTES])
{
    snprintf(out, NAME_BYTES, "GRADD_%s", o->flag);
    for (char *p = out; *p; p++)
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
}

static enum err_kind read_defaults(struct config *c, char *(*env)(const char *), struct err *e)
{
    for (size_t i = 0; i < OPTION_COUNT_ALL; i++) {
        char name[NAME_BYTES];
        variable_name(&options[i], name);
        const char *text = env(name);
        if (!text || !*text)
            text = options[i].fallback;
        enum err_kind rc = set_option(c, &options[i], text, name, e);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

/* ---- the command line ---------------------------------------------------------------------- */

/* What gradd does other than serving; the help says the same in this order. */
static const struct command_row {
    const char *word;
    enum command command;
    const char *operand; /* what the help calls it; NULL: it has none */
    const char *help;    /* NULL: it is not mentioned */
} commands[] = {
    {"healthcheck", COMMAND_HEALTHCHECK, NULL, "exit 0 if the daemon at --listen answers"},
    {"backup", COMMAND_BACKUP, "FILE", "copy --data to FILE; a daemon that runs on it is asked to"},
    {"verify", COMMAND_VERIFY, "FILE", "check all that FILE holds and replay every journal in it"},
    {"--version", COMMAND_VERSION, NULL, "print the version"},
    {"--help", COMMAND_HELP, NULL, "print this"},
    {"--help=markdown", COMMAND_HELP_MARKDOWN, NULL, NULL},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

/* NULL: it is none. */
static const struct command_row *find_command(const char *word)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (!strcmp(word, commands[i].word))
            return &commands[i];
    return NULL;
}

static const struct option *find_option(const char *flag, size_t bytes)
{
    for (size_t i = 0; i < OPTION_COUNT_ALL; i++)
        if (strlen(options[i].flag) == bytes && !memcmp(options[i].flag, flag, bytes))
            return &options[i];
    return NULL;
}

/* Reads "--flag=value" or "--flag" "value" at *argv and steps over all but the last piece. */
static enum err_kind read_flag(struct config *c, char ***argv, struct err *e)
{
    const char *word = **argv, *flag = strncmp(word, "--", 2) ? "" : word + 2;
    size_t bytes = strcspn(flag, "=");
    const struct option *o = find_option(flag, bytes);
    if (!o)
        return err_set(e, ERR_INVALID, "", "unknown option \"%s\"", word);
    const char *text = flag[bytes] ? flag + bytes + 1 : *++*argv;
    if (!text)
        return err_set(e, ERR_INVALID, "", "--%s needs a value: %s", o->flag, o->value);
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "--%s", o->flag);
    return set_option(c, o, text, name, e);
}

/* An operand is the first word behind its command that is no option, whatever it says: a file may
 * be called "healthcheck". Of several commands the last one counts. */
static enum err_kind read_words(struct config *c, char **argv, struct err *e)
{
    const struct command_row *command = NULL;
    enum err_kind rc = ERR_OK;
    for (char **word = argv; !rc && *word; word++) {
        bool open = command && command->operand && !c->operand;
        const struct command_row *found = find_command(*word);
        if (open && **word && **word != '-')
            c->operand = *word;
        else if (found)
            command = found;
        else
            rc = read_flag(c, &word, e);
    }
    if (rc || !command)
        return rc;
    c->command = command->command;
    if (command->operand && !c->operand)
        return err_set(e, ERR_INVALID, "", "%s needs a %s", command->word, command->operand);
    return ERR_OK;
}

/* What "auto" is on this machine. */
static void resolve(struct config *c)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (c->workers == 0)
        c->workers = cpus > 0 ? cpus : 1;
    if (c->http_threads == 0)
        c->http_threads = cpus >= 2 ? 2 : 1;
    if (c->max_streams == 0)
        c->max_streams = c->max_connections / 8;
    if (c->memory == 0)
        c->memory = limits_memory("", limits_machine()) / 2;
}

enum err_kind config_read(struct config *c, int argc, char **argv, char *(*env)(const char *),
                          struct err *e)
{
    *c = (struct config){.command = COMMAND_SERVE};
    enum err_kind rc = read_defaults(c, env, e);
    if (!rc)
        rc = read_words(c, argv + (argc > 0), e);
    if (rc)
        return rc;
    if (c->max_body > c->queue_bytes)
        return err_set(e, ERR_INVALID, "",
                       "max-body (%" PRId64 ") must not be over queue-bytes (%" PRId64
                       "): such a body could never be taken",
                       c->max_body, c->queue_bytes);
    if (c->max_streams > c->max_connections / 2)
        return err_set(e, ERR_INVALID, "",
                       "max-streams (%" PRId64
                       ") must not be over half of max-connections (%" PRId64
                       "): the rest is for requests",
                       c->max_streams, c->max_connections);
    resolve(c);
    return ERR_OK;
}

/* ---- help ---------------------------------------------------------------------------------- */

static void print_usage(FILE *out, const struct command_row *command)
{
    bool takes_options = strncmp(command->word, "--", 2) != 0;
    fprintf(out, "  gradd %s", command->word);
    if (command->operand)
        fprintf(out, " %s", command->operand);
    fprintf(out, "%s\n        %s\n", takes_options ? " [OPTION…]" : "", command->help);
}

void config_print_help(FILE *out)
{
    fprintf(out, "gradd trains and serves small neural networks over HTTP.\n\n"
                 "  gradd [OPTION…]\n        serve until SIGTERM\n");
    for (size_t i = 0; i < COMMANDS; i++)
        if (commands[i].help)
            print_usage(out, &commands[i]);
    fprintf(out, "\n");
    for (size_t i = 0; i < OPTION_COUNT_ALL; i++) {
        const struct option *o = &options[i];
        fprintf(out, "  --%s %s\n        %s [%s]\n", o->flag, o->value, o->help,
                *o->fallback ? o->fallback : "none");
    }
    fprintf(out, "\nEvery --some-option is also read from GRADD_SOME_OPTION; the flag wins.\n"
                 "Sizes take k, M or G.\n");
}

void config_print_markdown(FILE *out)
{
    fprintf(out, "| option | variable | default | what it is |\n|---|---|---|---|\n");
    for (size_t i = 0; i < OPTION_COUNT_ALL; i++) {
        const struct option *o = &options[i];
        char name[NAME_BYTES];
        variable_name(o, name);
        fprintf(out, "| `--%s ", o->flag);
        for (const char *p = o->value; *p; p++) /* a bare | would end the table's cell */
            fprintf(out, *p == '|' ? "\\|" : "%c", *p);
        fprintf(out, "` | `%s` | %s | %s |\n", name, *o->fallback ? o->fallback : "none", o->help);
    }
}
