/* api/json_string.h - strings in JSON text; inside json_scan.c only. Pure. */
#ifndef API_JSON_STRING_H
#define API_JSON_STRING_H

/* text is at the opening quote. Returns the position behind the closing one; or fills *fault with
 * what is wrong and returns where. Besides RFC 8259 it refuses invalid UTF-8, halves of surrogate
 * pairs and \u0000, at which C's strings would end. */
const char *json_skip_string(const char *text, const char *end, const char **fault);

#endif
