/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_bus_reset.c - a bus reset during a generation, on the Pro's firmware: it opens OUT and changes nothing else, so
 * the first command after it is acknowledged and swallowed, and all that comes is the old answer.
 */
#include "bench.h"

#define GENERATION (60 * SECOND)
#define RESET_AFTER (10 * SECOND)

/* The key has taken a command though the card is at work, and takes no other. */
static void has_swallowed_a_command(struct bench *b)
{
    static const uint8_t status[] = { 0x65, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
    virtual_lock(b->slot);
    const bool works = icc_speaks_at(b->icc) > virtual_now_us(b->slot);
    const enum handshake handshake = device_out(b->device, b->device->identity->bulk_out, status, sizeof status);
    virtual_unlock(b->slot);
    assert_true(works);
    assert_int_equal(handshake, HANDSHAKE_NAK);
}

static struct bench *ready_to_generate(void)
{
    struct bench *b = bench_new(&(struct icc_timing){ .work_us = GENERATION });
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    return b;
}

/* pcscd's event thread looks until the card is there; then the key that was generated is there, too. */
static void serves_when_the_card_is_done(struct bench *b, int64_t begun)
{
    while (bench_event_thread() != IFD_ICC_PRESENT || bench_power(IFD_POWER_UP) != IFD_SUCCESS) {
        assert_true(virtual_now_us(b->slot) - begun <= GENERATION + 10 * SECOND);
        virtual_pass(b->slot, SECOND);
    }
    assert_true(virtual_now_us(b->slot) - begun >= GENERATION);
    bench_works(b);
    bench_expect(b, READ_SIGNATURE_KEY, 0x9000);
}

static void the_next_pcscd_gets_no_answer_to_its_first_command_and_serves(void **state)
{
    (void)state;
    struct bench *b = ready_to_generate();
    const int64_t begun = virtual_now_us(b->slot);
    assert_int_equal(bench_close_while(b, GENERATE_SIGNATURE_KEY, RESET_AFTER), IFD_COMMUNICATION_ERROR);
    virtual_reset_port(b->slot);
    const int64_t opened = virtual_now_us(b->slot);
    assert_int_equal(bench_open(), IFD_SUCCESS);
    has_swallowed_a_command(b);
    assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_PRESENT);
    assert_int_not_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
    assert_true(virtual_now_us(b->slot) - opened <= 5 * SECOND);
    serves_when_the_card_is_done(b, begun);
    bench_free(b);
}

static void reset_port(void *slot)
{
    virtual_reset_port(slot);
}

static void a_running_command_fails_and_the_key_serves(void **state)
{
    (void)state;
    struct bench *b = ready_to_generate();
    const int64_t begun = virtual_now_us(b->slot);
    assert_true(virtual_at(b->slot, begun + RESET_AFTER, reset_port, b->slot));
    const struct answer answer = bench_transmit(b, GENERATE_SIGNATURE_KEY);
    assert_int_not_equal(answer.code, IFD_SUCCESS);
    assert_in_range(answer.took_us, RESET_AFTER, RESET_AFTER + 5 * SECOND);
    serves_when_the_card_is_done(b, begun);
    bench_free(b);
}

#define TEST(name) cmocka_unit_test(name)

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        TEST(the_next_pcscd_gets_no_answer_to_its_first_command_and_serves),
        TEST(a_running_command_fails_and_the_key_serves),
    };
    bench_choose(argc, argv);
    return cmocka_run_group_tests_name("bus_reset", tests, NULL, NULL);
}
