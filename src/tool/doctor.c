/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doctor.c - "ifd-nitrokey doctor": what goes wrong in practice, checked, and the line to type. */
#include "doctor.h"
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include "terminal.h"
#include "text.h"
#include "verbs.h"

static const char USAGE[] = "Usage: ifd-nitrokey doctor [--json]\n"
                            "Checks what goes wrong in practice, from the key to gpg and OpenSC, and shows the line to "
                            "type for what is wrong.\n"
                            "Run it as the person who uses the key. It changes nothing, asks no PIN, and says what it "
                            "cannot see without root.\n"
                            "\n"
                            "  --json  an array of objects: check, verdict (fine, wrong, unseen), says, type\n"
                            "  --help  this text\n"
                            "\n"
                            "Exit status: 0 nothing is wrong, 1 something is, 2 wrong usage.\n";

/* In the order in which one thing needs another. */
static void (*const CHECKS[])(const struct scene *, struct report *) = {
    check_keys,  check_machine, check_pcscd, check_bundles, check_rules,
    check_nodes, check_suspend, check_gnupg, check_readers, check_opensc,
};

struct report {
    bool json, utf8;
    int told, wrong;
};

int told_wrong(const struct report *report)
{
    return report->wrong;
}

static void tell_json(const struct report *report, enum verdict verdict, const char *check, const char *type,
                      const char *says)
{
    static const char *const names[] = { [FINE] = "fine", [WRONG] = "wrong", [UNSEEN] = "unseen" };
    printf("%s{\"check\":\"%s\",\"verdict\":\"%s\",\"says\":", report->told > 0 ? ",\n" : "[", check, names[verdict]);
    text_json(stdout, says);
    printf(",\"type\":");
    if (type && type[0])
        text_json(stdout, type);
    else
        printf("null");
    putchar('}');
}

static void tell_people(const struct report *report, enum verdict verdict, const char *type, const char *says)
{
    static const char *const marks[][2] = {
        [FINE] = { "ok    ", "✓ " }, [WRONG] = { "WRONG ", "✗ " }, [UNSEEN] = { "?     ", "? " }
    };
    static const enum colour colours[] = { [FINE] = GREEN, [WRONG] = RED, [UNSEEN] = YELLOW };
    printf("%s%s%s%s\n", terminal_colour(colours[verdict]), marks[verdict][report->utf8], terminal_colour(PLAIN), says);
    if (type && type[0])
        printf("      %s\n", type);
}

void tell(struct report *report, enum verdict verdict, const char *check, const char *type, const char *format, ...)
{
    char says[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(says, sizeof says, format, arguments);
    va_end(arguments);
    if (report->json)
        tell_json(report, verdict, check, type, says);
    else
        tell_people(report, verdict, type, says);
    report->told++;
    report->wrong += verdict == WRONG;
}

void line_to_type(char line[LINE_MAX_TO_TYPE], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(line, LINE_MAX_TO_TYPE, format, arguments);
    va_end(arguments);
    if (length < 0 || length >= LINE_MAX_TO_TYPE)
        line[0] = '\0';
}

const char *quoted(const char *name)
{
    static char texts[4][LINE_MAX_TO_TYPE];
    static unsigned next;
    char *const text = texts[next++ % 4];
    size_t length = 0;
    text[length++] = '\'';
    for (; *name && length + 6 < LINE_MAX_TO_TYPE; name++)
        if (*name == '\'')
            length += (size_t)sprintf(text + length, "'\\''");
        else
            text[length++] = *name;
    text[length++] = '\'';
    text[*name ? 0 : length] = '\0';
    return text;
}

static void sum_up(const struct report *report)
{
    if (report->json) {
        puts(report->told > 0 ? "]" : "[]");
        return;
    }
    if (report->wrong > 0)
        printf("\n%d thing%s wrong. Begin with the first, then run ifd-nitrokey doctor again.\n", report->wrong,
               report->wrong == 1 ? " is" : "s are");
    else
        puts("\nNothing is wrong.");
}

int doctor(int argc, char *argv[])
{
    static const struct option options[] = {
        { "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };
    static struct scene scene;
    struct report report = { .utf8 = terminal_has_utf8() };
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 'j': report.json = true; break;
        case 'h': fputs(USAGE, stdout); return 0;
        default: return 2;
        }
    if (optind < argc) {
        fprintf(stderr, "ifd-nitrokey doctor: %s is no option, see --help\n", argv[optind]);
        return 2;
    }
    scene_look(&scene);
    for (size_t i = 0; i < sizeof CHECKS / sizeof CHECKS[0]; i++)
        CHECKS[i](&scene, &report);
    sum_up(&report);
    return report.wrong > 0;
}
