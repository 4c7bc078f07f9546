#include "tests/server/daemon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS_MAX     32
#define WAIT_SECONDS 60 /* after which a child that should end or listen is taken for hung */

static void rest(void)
{
    const struct timespec time = {.tv_nsec = 5000000};
    nanosleep(&time, NULL);
}

/* The build's folder is where this very program lies, at tests/server/. */
static void find_binary(const char *binary, char *out, size_t bytes)
{
    char self[512];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(n > 0);
    self[n] = '\0';
    char *tests = strstr(self, "/tests/server/");
    assert_non_null(tests);
    *tests = '\0';
    snprintf(out, bytes, "%s/%s", self, binary);
}

static void make_dir(struct daemon *d)
{
    if (*d->dir)
        return;
    const char *tmp = getenv("TMPDIR");
    snprintf(d->dir, sizeof d->dir, "%s/gradd-test-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(d->dir));
}

static void file_of(const struct daemon *d, const char *name, char *out, size_t bytes)
{
    snprintf(out, bytes, "%s/%s", d->dir, name);
}

/* The child's variables would be options too. And the tests run on whatever file system there is.
 */
static void set_options(void)
{
    static const char *const name[] = {"GRADD_LISTEN", "GRADD_DATA", "GRADD_LOG", "GRADD_WORKERS"};
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++)
        unsetenv(name[i]);
    setenv("GRADD_NETWORK_FILES", "allow", 1);
}

/* The log is written anew by each start. */
static void spawn(struct daemon *d, char **argv)
{
    char log[256];
    file_of(d, "log", log, sizeof log);
    int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    assert_true(fd >= 0);
    d->pid = fork();
    assert_true(d->pid >= 0);
    if (d->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that is killed, or ends by exit, leaves none */
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        set_options();
        execv(argv[0], argv);
        _exit(127);
    }
    close(fd);
}

char *daemon_log(const struct daemon *d)
{
    char name[256];
    file_of(d, "log", name, sizeof name);
    FILE *f = fopen(name, "r");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    size_t bytes = (size_t)ftell(f);
    rewind(f);
    char *text = malloc(bytes + 1);
    assert_non_null(text);
    bytes = fread(text, 1, bytes, f);
    text[bytes] = '\0';
    fclose(f);
    return text;
}

static bool is_listening(struct daemon *d)
{
    static const char mark[] = "listening on http://127.0.0.1:";
    char *log = daemon_log(d);
    char *at = strstr(log, mark);
    if (at)
        d->port = atoi(at + sizeof mark - 1);
    free(log);
    snprintf(d->url, sizeof d->url, "http://127.0.0.1:%d", d->port);
    return at;
}

void daemon_launch(struct daemon *d, const char *binary, const char *const *args)
{
    char path[600], data[256];
    char *argv[ARGS_MAX] = {path, "--listen", "127.0.0.1:0", "--data", data};
    size_t n = 5;
    make_dir(d);
    find_binary(binary, path, sizeof path);
    file_of(d, "gradd.db", data, sizeof data);
    for (; args && *args && n < ARGS_MAX - 1; args++)
        argv[n++] = (char *)*args;
    spawn(d, argv);
}

void daemon_await(struct daemon *d)
{
    for (int i = 0; i < WAIT_SECONDS * 200 && !is_listening(d); i++) {
        if (waitpid(d->pid, NULL, WNOHANG) == d->pid) {
            char *log = daemon_log(d);
            d->pid = 0;
            fail_msg("it did not start:\n%s", log);
        }
        rest();
    }
    assert_true(is_listening(d));
}

void daemon_start(struct daemon *d, const char *binary, const char *const *args)
{
    daemon_launch(d, binary, args);
    daemon_await(d);
}

void daemon_signal(struct daemon *d, int signal)
{
    assert_true(d->pid > 0);
    assert_int_equal(kill(d->pid, signal), 0);
}

static int code_of(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* A sanitizer's report, for one, is nowhere else. */
static void show_end(const struct daemon *d, int code)
{
    char *log = daemon_log(d);
    size_t bytes = strlen(log);
    /* print_message cuts what is long */
    printf("exit %d; the log ends:\n%s\n", code, log + (bytes > 16000 ? bytes - 16000 : 0));
    fflush(stdout);
    free(log);
}

static int wait_child(struct daemon *d)
{
    int status = 0;
    pid_t ended = 0;
    for (int i = 0; i < WAIT_SECONDS * 200 && ended == 0; i++) {
        ended = waitpid(d->pid, &status, WNOHANG);
        if (ended == 0)
            rest();
    }
    if (ended != d->pid)
        fail_msg("process %d does not end", (int)d->pid);
    d->pid = 0;
    return code_of(status);
}

int daemon_wait(struct daemon *d)
{
    int code = wait_child(d);
    if (code != 0 && code != 128 + SIGKILL) /* which was ours */
        show_end(d, code);
    return code;
}

int daemon_stop(struct daemon *d)
{
    daemon_signal(d, SIGTERM);
    return daemon_wait(d);
}

int daemon_run(struct daemon *d, const char *binary, const char *const *args)
{
    char path[600];
    char *argv[ARGS_MAX] = {path};
    size_t n = 1;
    make_dir(d);
    find_binary(binary, path, sizeof path);
    for (; *args && n < ARGS_MAX - 1; args++)
        argv[n++] = (char *)*args;
    spawn(d, argv);
    return wait_child(d);
}

void daemon_remove(struct daemon *d)
{
    int status;
    if (d->pid > 0 && waitpid(d->pid, &status, WNOHANG) == d->pid) {
        show_end(d, code_of(status)); /* by itself: so a test saw it end, and failed */
    } else if (d->pid > 0) {
        kill(d->pid, SIGKILL);
        waitpid(d->pid, NULL, 0);
    }
    bool keep = getenv("GRADD_KEEP_DIR"); /* to look at what a failing test leaves */
    DIR *dir = *d->dir && !keep ? opendir(d->dir) : NULL;
    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        char name[512];
        snprintf(name, sizeof name, "%s/%s", d->dir, entry->d_name);
        unlink(name); /* "." and ".." refuse */
    }
    if (dir)
        closedir(dir);
    rmdir(d->dir);
    *d = (struct daemon){0};
}
