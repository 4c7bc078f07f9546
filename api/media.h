/* api/media.h - the content types: what a body is, and what an answer may be.
 *
 * The only list of them. Which a route takes and gives stands in its row (api/routes.h).
 */
#ifndef API_MEDIA_H
#define API_MEDIA_H

#include <stdbool.h>
#include <stddef.h>

#define MEDIA(X)                                                                                   \
    X(JSON, "application/json")                                                                    \
    X(MERGE_PATCH, "application/merge-patch+json")                                                 \
    X(SAFETENSORS, "application/x-safetensors")                                                    \
    X(NPY, "application/x-npy")                                                                    \
    X(CSV, "text/csv")

enum media {
#define MEDIA_ENUM(id, name) MEDIA_##id,
    MEDIA(MEDIA_ENUM)
#undef MEDIA_ENUM
        MEDIA_COUNT /* none of these */
};

/* A set of them. */
#define MEDIA_BIT(media) (1u << (media))

const char *media_name(enum media media);
/* Of a Content-Type, whose parameters do not count. MEDIA_COUNT: none of ours. */
enum media media_read(const char *content_type);
/* "application/json, text/csv": those in the set; cut at bytes. Returns text. */
const char *media_join(unsigned set, char *text, size_t bytes);

/* What the Accept headers of a request say of each type. Zeroed: there were none. */
struct accept {
    bool given;
    unsigned char exact[MEDIA_COUNT]; /* how exactly it was named */
    short weight[MEDIA_COUNT];        /* its q, in thousandths */
};
/* One more header. What cannot be read in it says nothing. */
void accept_read(struct accept *a, const char *value);
/* The one that is liked best of a set. first is taken where several are liked as well, and where
 * nothing was said; so it is where nothing in the set is acceptable: an answer of another type is
 * more use than none (RFC 9110, 12.4.1). first is in the set. */
enum media accept_choose(const struct accept *a, unsigned set, enum media first);

#endif
