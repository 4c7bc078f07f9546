/* engine/angle.h - the reduction of angles that vmath_angle.h does not reach.
 *
 * One function for all instruction sets: an angle of a million and more is rare. Threads: pure.
 */
#ifndef ENGINE_ANGLE_H
#define ENGINE_ANGLE_H

#include <stdint.h>

/* x = (4 m + *turns) pi/2 + result for some integer m, |result| <= pi/4 or about, to two units in
 * the last place. x: finite, |x| >= 2^20. */
double angle_far(double x, uint64_t *turns);

#endif
