#include "tests/server/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct daemon target;
struct model_client target_client;

int target_start(void **state)
{
    static const char *const args[] = {"--max-body", "24M", "--workers", "2", NULL};
    struct model_client *m = &target_client;
    (void)state;
    daemon_start(&target, DAEMON_REAL, args);
    model_client_open(m, target.url);
    ask(m, 201, "POST",
        "{\"id\":\"m\",\"loss\":\"mse\",\"layers\":"
        "[{\"type\":\"linear\",\"in_features\":1,\"out_features\":1}]}",
        "/models");
    ask(m, 201, "POST",
        "{\"id\":\"classes\",\"loss\":\"cross_entropy\",\"layers\":"
        "[{\"type\":\"linear\",\"in_features\":2,\"out_features\":3}]}",
        "/models");
    ask(m, 201, "POST", "{\"inputs\":[[1],[2]],\"targets\":[[3],[4]]}", "/models/m/batches");
    return 0;
}

int target_stop(void **state)
{
    (void)state;
    model_client_close(&target_client);
    int status = daemon_stop(&target);
    daemon_remove(&target);
    return status;
}

int target_is_well(void **state)
{
    struct model_client *m = &target_client;
    (void)state;
    ask(m, 200, "GET", NULL, "/readyz");
    double before = number(ask(m, 200, "GET", NULL, "/models/m"), "step");
    ask(m, 200, "POST", "{}", "/models/m/step");
    assert_int_equal(number(m->json, "step"), before + 1);
    return 0;
}
