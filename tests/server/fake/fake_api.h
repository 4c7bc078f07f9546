/* tests/server/fake/fake_api.h - an api with canned handlers, for tests of the pool and the
 * transport alone.
 *
 *   /healthz  /readyz                 as the real ones
 *   /inline  /read/{m}  /between/{m}  /change/{m}        GET and POST, in that mode
 *     ?slices=N   takes N slices   ?ms=M      each lasts so long
 *     ?light=1    may be run where it was received; 2: if nobody is in a hurry
 *     ?sick=1     its answer given, the storage has failed
 *     ?group=G    may be run together with others of it; the first one's label then has their number
 *     ?out=N      answers N bytes  ?name=X    the label for fake_hook
 * The answer is "mode model slices bytes-of-the-body".
 * As --data, "fail-open" and "fail-close" make api_open and api_close fail.
 */
#ifndef TESTS_FAKE_API_H
#define TESTS_FAKE_API_H

/* Called by each call_work, on its thread; NULL (default): sleeps ms. */
extern void (*fake_hook)(const char *model, const char *name, int slice);

#endif
