/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * simulate.c - the whole driver, pcscd, programs and a key on a virtual clock, in sequences that chance makes; each in a
 * process of its own. See usage().
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "play.h"

#define HANGS_AFTER_S 60 /* of real time; a sequence takes some milliseconds, ... */
#define RUNS_AT_MOST_S 5 /* ... also on a processor */
#define FAILURES_MAX 5   /* then it ends: each is shortened */
#define MODELS_MAX 64

static const char USAGE[] =
    "Usage: simulate [--seed N] [--count N] [--model MODEL] [--replay TEXT]... [--regressions FILE]\n"
    "                [--first] [--verbose]\n"
    "\n"
    "Plays so many sequences (default: 100), that of seed N and those after it (default: 1), of every model or of one.\n"
    "--replay plays a sequence that is written down, --regressions those of a file, one a line. --first ends with the\n"
    "first failure. --verbose tells what happens. A sequence that fails is made shorter and printed: its steps in\n"
    "words, and as --replay takes it.\n";

static struct tally *tally, *spare; /* in shared memory; spare: of what is played only to make a sequence shorter */
static char directory[] = "/tmp/ifd-nitrokey-simulate-XXXXXX";
static bool verbose;

/* ---- one sequence ---- */

static void play_in_a_child(const struct sequence *sequence, struct tally *to)
{
    if (!verbose) {
        const int nowhere = open("/dev/null", O_WRONLY);
        (void)dup2(nowhere, STDOUT_FILENO);
        (void)dup2(nowhere, STDERR_FILENO);
    }
    const struct rlimit limit = { RUNS_AT_MOST_S, RUNS_AT_MOST_S + 1 };
    (void)setrlimit(RLIMIT_CPU, &limit);
    alarm(HANGS_AFTER_S);
    play(sequence, to, directory, verbose);
    fflush(stdout);
    _exit(0);
}

/* true: nothing is wrong; else to->wrong says what */
static bool is_right(const struct sequence *sequence, struct tally *to)
{
    int status = 0;
    to->wrong[0] = '\0';
    if (!world_make_directories(directory)) {
        fprintf(stderr, "simulate: %s: %s\n", directory, strerror(errno));
        exit(2);
    }
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0)
        play_in_a_child(sequence, to);
    if (child < 0 || waitpid(child, &status, 0) != child) {
        fprintf(stderr, "simulate: no process: %s\n", strerror(errno));
        exit(2);
    }
    if (to->wrong[0])
        return false;
    if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGALRM || WTERMSIG(status) == SIGXCPU))
        strcpy(to->wrong, "the driver hangs");
    else if (WIFSIGNALED(status))
        snprintf(to->wrong, sizeof to->wrong, "signal %d", WTERMSIG(status));
    else if (status != 0)
        snprintf(to->wrong, sizeof to->wrong, "exit status %d", WEXITSTATUS(status));
    return to->wrong[0] == '\0';
}

/* ---- shortening ---- */

static struct sequence without(const struct sequence *sequence, size_t from, size_t count)
{
    struct sequence shorter = *sequence;
    memmove(shorter.step + from, shorter.step + from + count, (shorter.count - from - count) * sizeof shorter.step[0]);
    shorter.count -= count;
    return shorter;
}

/* Leaves out what is not needed: halves, quarters, ... single steps, until no single one can be left out. */
static struct sequence shorten(struct sequence sequence)
{
    const bool was_verbose = verbose;
    verbose = false;
    for (size_t size = sequence.count / 2 + 1, left_out = 0;; size = (size + 1) / 2, left_out = 0) {
        for (size_t from = 0; from < sequence.count;) {
            const size_t count = sequence.count - from < size ? sequence.count - from : size;
            const struct sequence shorter = without(&sequence, from, count);
            if (is_right(&shorter, spare)) {
                from += count;
                continue;
            }
            sequence = shorter;
            left_out += count;
        }
        if (size == 1 && left_out == 0)
            break;
    }
    (void)is_right(&sequence, spare);
    verbose = was_verbose;
    return sequence;
}

static void report(const struct sequence *sequence)
{
    char text[SEQUENCE_TEXT_MAX];
    printf("# %s: %s\n# at step %zu of %zu, of which these are needed:\n", sequence->model, tally->wrong,
           tally->step + 1, sequence->count);
    const struct sequence shorter = shorten(*sequence);
    for (size_t i = 0; i < shorter.count; i++) {
        step_tell(&shorter.step[i], text, sizeof text);
        printf("#   %zu. %s\n", i + 1, text);
    }
    printf("# then: %s\n", spare->wrong);
    sequence_print(&shorter, text);
    printf("# tests/simulate --replay \"%s\"\n", text);
}

/* ---- all ---- */

static struct {
    const char *name;
    size_t played, failed;
} models[MODELS_MAX];
static size_t sequences, failures, failures_most = FAILURES_MAX, tests, tests_failed;

static void count_for(const char *model, bool right)
{
    size_t i = 0;
    while (models[i].name && strcmp(models[i].name, model) != 0 && i < MODELS_MAX - 1)
        i++;
    models[i].name = identity_find(model)->name;
    models[i].played++;
    models[i].failed += !right;
}

static bool play_one(const struct sequence *sequence)
{
    sequences++;
    const bool right = is_right(sequence, tally);
    if (!right && ++failures <= FAILURES_MAX)
        report(sequence);
    return right;
}

static void verdict(bool right, const char *name)
{
    tests_failed += !right;
    printf("%sok %zu - %s\n", right ? "" : "not ", ++tests, name);
}

static void play_seeds(uint64_t seed, size_t count, const char *model)
{
    char name[128];
    for (size_t i = 0; i < count && failures < failures_most; i++) {
        const struct sequence sequence = sequence_of(seed + i, model);
        const bool right = play_one(&sequence);
        if (!right)
            printf("# seed %" PRIu64 "\n", seed + i);
        count_for(sequence.model, right);
    }
    for (size_t i = 0; models[i].name; i++) {
        snprintf(name, sizeof name, "%s: %zu sequences, %zu of them wrong", models[i].name, models[i].played,
                 models[i].failed);
        verdict(models[i].failed == 0, name);
    }
}

static bool replay(const char *text)
{
    struct sequence sequence;
    if (!sequence_parse(text, &sequence) || !identity_find(sequence.model)) {
        fprintf(stderr, "simulate: this is not understood: %s\n", text);
        return false;
    }
    verdict(play_one(&sequence), text);
    return true;
}

/* Lines that begin with # say why. */
static bool replay_file(const char *path)
{
    char line[SEQUENCE_TEXT_MAX];
    FILE *const file = fopen(path, "r");
    bool understood = file != NULL;
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] && line[0] != '#')
            understood = replay(line) && understood;
    }
    if (file)
        fclose(file);
    else
        fprintf(stderr, "simulate: %s: %s\n", path, strerror(errno));
    return understood;
}

static double seconds_of_cpu(void)
{
    struct timespec own;
    clock_gettime(CLOCK_MONOTONIC, &own);
    return (double)own.tv_sec + (double)own.tv_nsec / 1e9;
}

static size_t states(void)
{
    size_t count = 0;
    for (size_t i = 0; i < sizeof tally->states; i++)
        count += (size_t)__builtin_popcount(tally->states[i]);
    return count;
}

static void tell_figures(double seconds)
{
    printf("1..%zu\n# %zu sequences, %zu steps; in a second %.0f and %.0f\n# happened:", tests, sequences, tally->steps,
           (double)sequences / seconds, (double)tally->steps / seconds);
    for (unsigned kind = 0; kind < STEP_KINDS; kind++)
        if (tally->struck[kind] > 0)
            printf(" %s %zu", step_kind_name((enum step_kind)kind), tally->struck[kind]);
    printf("\n# a key had to be unplugged %zu times, was held back %zu times\n# %zu distinct states\n", tally->unplugged,
           tally->held, states());
}

static struct tally *new_tally(void)
{
    struct tally *const shared =
        mmap(NULL, sizeof(struct tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        exit(2);
    return shared;
}

static int fail_to_understand(void)
{
    fputs(USAGE, stderr);
    return 2;
}

int main(int argc, char *argv[])
{
    uint64_t seed = 1;
    size_t count = 100;
    const char *model = NULL;
    bool replays = false, understood = true;
    const double begun = seconds_of_cpu();
    tally = new_tally();
    spare = new_tally();
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++)
        verbose = verbose || strcmp(argv[i], "--verbose") == 0;
    if (!mkdtemp(directory))
        return 2;
    for (int i = 1; i < argc && understood; i++) {
        const char *const value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--verbose") == 0)
            continue;
        if (strcmp(argv[i], "--first") == 0) {
            failures_most = 1;
            continue;
        }
        if (!value)
            return fail_to_understand();
        if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--count") == 0)
            count = strtoul(value, NULL, 0);
        else if (strcmp(argv[i], "--model") == 0 && identity_find(value))
            model = value;
        else if (strcmp(argv[i], "--replay") == 0)
            understood = (replays = true) && replay(value);
        else if (strcmp(argv[i], "--regressions") == 0)
            understood = replay_file(value);
        else
            return fail_to_understand();
        i++;
    }
    if (understood && !replays)
        play_seeds(seed, count, model);
    tell_figures(seconds_of_cpu() - begun);
    world_remove_directories(directory);
    return !understood ? 2 : tests_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
