/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* play.c - plays a sequence. */
#include "play.h"
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "clients.h"
#include "pcscd.h"

#define ATTEMPTS 4               /* of a program, while the key is free; each 5 s after the one before */
#define ATTEMPT_EVERY_MS 5000
#define SILENT_AT_MOST_S 180     /* README: then a key is reset where that is possible */
#define TURNS_MAX 40             /* of the polling thread in one attempt */
#define WORKS_AT_MOST_S 900      /* for a command of before; no generation takes longer here */
#define HELD_AT_MOST_S (7200 + 60) /* README: what a generation may take */

/* ---- steps ---- */

/* If pcscd was killed meanwhile, it is gone, and its clients know. */
static void settle(void)
{
    if (world_bury_pcscd())
        clients_lose_pcscd();
}

/* The polling thread polls all the time. */
static void pass(long ms)
{
    const int64_t end_us = virtual_now_us(world.slot) + ms * MS;
    for (unsigned turns = 0; turns < TURNS_MAX; turns++) {
        const int64_t left_us = end_us - virtual_now_us(world.slot);
        if (left_us <= 0)
            return;
        pcscd_hear_udev();
        if (!world.killed && pcscd_has_reader())
            pcscd_poll((int)((left_us + MS - 1) / MS));
        else
            virtual_pass(world.slot, left_us);
    }
}

static void take(const struct step *step)
{
    if (step_is_of_a_client(step)) {
        pcscd_start(); /* systemd's socket does it */
        if (!world.killed)
            clients_step(step);
    } else if (step->kind == STEP_START) {
        pcscd_start();
    } else if (step->kind == STEP_WAIT) {
        pass(step->a);
    } else if (step->kind == STEP_POLL) {
        pcscd_hear_udev();
        pcscd_poll((int)step->a);
    } else {
        world_step(step);
    }
}

static void judge_step(void)
{
    clients_judge();
    world_note_state();
    if (world_key_is_dead() && !world_key_may_be_dead())
        world_wrong("the key's firmware has stopped");
}

static void play_steps(const struct sequence *sequence)
{
    for (size_t i = 0; i < sequence->count && !world_is_wrong(); i++) {
        char text[160];
        step_tell(&sequence->step[i], text, sizeof text);
        world_say("%zu. %s", i + 1, text);
        world.tally->step = i;
        world.tally->steps++;
        take(&sequence->step[i]);
        settle();
        judge_step();
    }
}

/* ---- the end ---- */

/* Whether a driver that knows nothing could use the key, and nothing were executed that was not sent. In a process of its
 * own, since this one goes on with the key as it is. */
static bool serves_a_stranger(void)
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        setenv("IFD_NITROKEY_RUN", "/nonexistent", 1);
        world.verbose = false;
        world.told_to_unplug = false;
        pcscd_is_another_process();
        pcscd_forget();
        clients_lose_pcscd();
        pcscd_start();
        bool served = clients_are_served();
        for (unsigned i = 0; i < 3 && !served; i++) {
            pass(ATTEMPT_EVERY_MS);
            served = clients_are_served();
        }
        clients_judge();
        _exit(served && !world_is_wrong() ? 0 : 1);
    }
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The user was told to. */
static void unplug(void)
{
    if (!world_key_may_need_a_replug() && !(world_key_is_dead() && world.muted))
        world_wrong("the user is told to unplug a key that need not be unplugged");
    else if (!world_key_is_dead() && !world.unreported && !world.muted && serves_a_stranger())
        world_wrong("the user is told to unplug a key that another driver could use");
    world.tally->unplugged++;
    world.told_held = false;
    world_replug(false);
}

static bool is_served(int64_t since_us)
{
    unsigned attempts = 0;
    while (attempts < ATTEMPTS && !world_is_wrong()) {
        const int64_t passed_us = virtual_now_us(world.slot) - since_us;
        pcscd_start();
        pcscd_hear_udev();
        if (clients_are_served())
            return true;
        if (world.told_to_unplug || (world_key_is_dead() && (world.port_was_reset || world.unread || world.muted)))
            unplug(); /* of what nobody could read no driver knows what it was */
        const bool held = world.told_held && world_key_is_mortal() && passed_us < HELD_AT_MOST_S * SECOND;
        const bool works = !world_key_is_free() && passed_us < WORKS_AT_MOST_S * SECOND;
        attempts += !held && !works && passed_us > SILENT_AT_MOST_S * SECOND;
        pass(held ? 12 * ATTEMPT_EVERY_MS : ATTEMPT_EVERY_MS);
    }
    return false;
}

static void end(void)
{
    const struct step leave = { .kind = STEP_DISCONNECT };
    world_say("nothing goes wrong any more");
    world_calms_down();
    settle();
    for (unsigned i = 0; i < SEQUENCE_CLIENTS; i++) {
        struct step step = leave;
        step.client = i;
        clients_step(&step);
    }
    bool served = is_served(virtual_now_us(world.slot));
    if (!served && world.port_was_reset) { /* there is firmware that does not outlive one, and nobody tells the driver */
        world.tally->unplugged++;
        world_replug(false);
        served = is_served(virtual_now_us(world.slot));
    }
    if (!served && !world_is_wrong())
        world_wrong("the key is not served any more");
    world.tally->held += world.told_held;
    clients_judge();
    pcscd_forget();
    world_end();
}

void play(const struct sequence *sequence, struct tally *tally, const char *directory, bool verbose)
{
    world_begin(sequence, tally, directory, verbose);
    world.tally->step = 0;
    pcscd_start();
    clients_prepare();
    world.told_to_unplug = world.told_held = world.in_trouble = false;
    play_steps(sequence);
    if (!world_is_wrong())
        end();
}
