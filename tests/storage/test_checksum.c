#include "tests/storage/store_fixture.h"

#include <math.h>
#include <string.h>

#include "storage/checksum.h"

/* Values of RFC 3720, appendix B.4, and the customary check value of the CRC catalogues. */
static void known_values(void **state)
{
    unsigned char data[32];
    (void)state;
    assert_int_equal(checksum(0, "123456789", 9), 0xe3069283);
    memset(data, 0, sizeof data);
    assert_int_equal(checksum(0, data, 32), 0x8a9136aa);
    memset(data, 0xff, sizeof data);
    assert_int_equal(checksum(0, data, 32), 0x62a8ab43);
    for (unsigned i = 0; i < 32; i++)
        data[i] = (unsigned char)i;
    assert_int_equal(checksum(0, data, 32), 0x46dd794e);
    for (unsigned i = 0; i < 32; i++)
        data[i] = (unsigned char)(31 - i);
    assert_int_equal(checksum(0, data, 32), 0x113fdb5c);
    assert_int_equal(checksum(0, data, 0), 0);
}

static void the_instruction_gives_what_the_table_gives(void **state)
{
    unsigned char data[67];
    (void)state;
    fill(data, sizeof data, 3);
    for (size_t from = 0; from < 9; from++)
        for (size_t bytes = 0; from + bytes <= sizeof data; bytes++)
            assert_int_equal(checksum((uint32_t)from, data + from, bytes),
                             checksum_by_table((uint32_t)from, data + from, bytes));
    assert_int_equal(checksum_by_table(0, "123456789", 9), 0xe3069283);
}

static void pieces_give_the_whole(void **state)
{
    unsigned char data[67];
    (void)state;
    fill(data, sizeof data, 1);
    uint32_t whole = checksum(0, data, sizeof data);
    for (size_t cut = 0; cut <= sizeof data; cut++)
        assert_int_equal(checksum(checksum(0, data, cut), data + cut, sizeof data - cut), whole);
}

static void every_flipped_bit_shows(void **state)
{
    unsigned char data[67];
    (void)state;
    fill(data, sizeof data, 2);
    uint32_t whole = checksum(0, data, sizeof data);
    for (size_t bit = 0; bit < 8 * sizeof data; bit++) {
        data[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_int_not_equal(checksum(0, data, sizeof data), whole);
        data[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}

static void fields_do_not_run_together(void **state)
{
    (void)state;
    assert_int_not_equal(checksum_text(checksum_text(0, "ab"), "c"),
                         checksum_text(checksum_text(0, "a"), "bc"));
    assert_int_not_equal(checksum_text(0, NULL), checksum_text(0, ""));
    assert_int_not_equal(checksum_i64(0, 1), checksum_i64(0, -1));
    assert_int_not_equal(checksum_f64(0, 0.0), checksum_f64(0, -0.0));
    assert_int_equal(checksum_f64(0, (double)NAN), checksum_f64(0, -(double)NAN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(the_instruction_gives_what_the_table_gives),
        cmocka_unit_test(pieces_give_the_whole),
        cmocka_unit_test(every_flipped_bit_shows),
        cmocka_unit_test(fields_do_not_run_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
