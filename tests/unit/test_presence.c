/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_presence.c - what pcscd is told of the card, and what ends a poll, by the module alone. */
#include "presence.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "open_files.h"

static struct presence_state presence;

static int set_up(void **state)
{
    (void)state;
    if (!presence_init(&presence))
        return -1;
    presence_set_claimed(&presence, true);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    presence_destroy(&presence);
    return 0;
}

/* What a poll that does not wait says. */
static enum presence_woken look(void)
{
    return presence_sleep(&presence, presence_clock_ms());
}

static void *ask(void *now)
{
    *(enum presence *)now = presence_now(&presence);
    return NULL;
}

static enum presence asked_by_another_thread(void)
{
    enum presence now = READER_PRESENT;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask, &now), 0);
    pthread_join(thread, NULL);
    return now;
}

static void a_card_is_there_when_the_key_is_ours_and_at_rest(void **state)
{
    (void)state;
    assert_int_equal(presence_now(&presence), READER_PRESENT);
    assert_true(presence_is_claimed(&presence));
    presence_set_claimed(&presence, false);
    assert_int_equal(presence_now(&presence), READER_ABSENT);
    presence_set_claimed(&presence, true);
    presence_set_away(&presence, true);
    assert_int_equal(presence_now(&presence), READER_ABSENT);
    presence_set_away(&presence, false);
    assert_int_equal(presence_now(&presence), READER_ABSENT); /* until the polling thread has seen that it went */
    (void)presence_enter_poll(&presence);
    assert_int_equal(presence_now(&presence), READER_ABSENT);
    (void)presence_enter_poll(&presence);
    assert_int_equal(presence_now(&presence), READER_PRESENT);
}

static void a_lost_card_comes_back_when_the_polling_thread_has_seen_that_it_went(void **state)
{
    (void)state;
    assert_false(presence_enter_poll(&presence));
    presence_set_card_lost(&presence);
    assert_int_equal(asked_by_another_thread(), READER_ABSENT); /* a client's: pcscd has told nobody */
    assert_true(presence_enter_poll(&presence));
    assert_int_equal(asked_by_another_thread(), READER_ABSENT);
    assert_int_equal(presence_now(&presence), READER_ABSENT);
    assert_int_equal(presence_now(&presence), READER_ABSENT);
    assert_true(presence_enter_poll(&presence)); /* there is news: the card is there again */
    assert_int_equal(presence_now(&presence), READER_PRESENT);
    assert_false(presence_enter_poll(&presence));
}

static void what_changes_ends_the_poll(void **state)
{
    (void)state;
    assert_int_equal(look(), PRESENCE_TIME);
    presence_set_card_lost(&presence);
    assert_int_equal(look(), PRESENCE_STOP);
    presence_set_away(&presence, true);
    assert_int_equal(look(), PRESENCE_STOP);
    presence_set_away(&presence, true); /* no change */
    assert_int_equal(look(), PRESENCE_TIME);
    presence_set_work(&presence);
    assert_int_equal(look(), PRESENCE_WORK);
    assert_int_equal(look(), PRESENCE_TIME);
    presence_set_gone(&presence);
    assert_int_equal(look(), PRESENCE_STOP);
    assert_int_equal(presence_now(&presence), READER_GONE);
    assert_true(presence_enter_poll(&presence));
}

static void each_stop_ends_one_poll(void **state)
{
    (void)state;
    presence_wake(&presence);
    presence_wake(&presence);
    assert_true(presence_stop_is_due(&presence));
    assert_int_equal(look(), PRESENCE_STOP);
    assert_int_equal(look(), PRESENCE_STOP);
    assert_int_equal(look(), PRESENCE_TIME);
    assert_false(presence_stop_is_due(&presence));
}

static void nothing_stays_open(void **state)
{
    (void)state;
    struct presence_state other;
    const unsigned before = open_files();
    assert_true(presence_init(&other));
    assert_int_equal(open_files(), before + 2);
    presence_destroy(&other);
    assert_int_equal(open_files(), before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_card_is_there_when_the_key_is_ours_and_at_rest),
        TEST(a_lost_card_comes_back_when_the_polling_thread_has_seen_that_it_went),
        TEST(what_changes_ends_the_poll),
        TEST(each_stop_ends_one_poll),
        TEST(nothing_stays_open),
    };
    return cmocka_run_group_tests_name("presence", tests, NULL, NULL);
}
