/* engine/isa.h - one source, several instruction sets.
 *
 * Every kernel file (op_*.c, matmul.c, sweep.c, decimal_floats_*.c) is compiled once per
 * instruction set with -DISA=avx512, avx2 or baseline; what it exports is named with ISA_FN, so
 * that the variants live side by side in one binary and kernels.c picks one at run time.
 *
 * The rule that keeps results equal to the bit on all of them: an element's value is a fixed
 * sequence of IEEE operations (the build has -ffp-contract=off and no fast-math), a fused
 * multiply-add is written as one, and a reduction has a fixed number of lanes combined in a fixed
 * order, whatever the width of the vectors it compiles to.
 */
#ifndef ENGINE_ISA_H
#define ENGINE_ISA_H

#ifndef ISA
#error "kernel files are compiled with -DISA=name, see the Makefile"
#endif
#define ISA_PASTE(name, isa)  name##_##isa
#define ISA_EXPAND(name, isa) ISA_PASTE(name, isa)
#define ISA_FN(name)          ISA_EXPAND(name, ISA)

#endif
