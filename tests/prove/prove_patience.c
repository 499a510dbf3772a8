/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* prove_patience.c - every text of a setting up to 40 characters, every command, every course of a wait. */
#include "any.h"
#include "../../src/patience.c"

#define TEXT 40
#define YEARS INT64_C(0x10000000000) /* in ms: 34 of them */

static void wait(const struct patience_table *table)
{
    int64_t now = Frama_C_long_interval(0, YEARS);
    struct vigil vigil = vigil_begin(table, (enum patience_class)any_size(0, PATIENCE_CLASSES - 1), now);
    while (any_choice()) {
        now = Frama_C_long_interval(0, YEARS);
        vigil_renew(&vigil, now);
        vigil_allow(&vigil, (uint32_t)any_size(0, UINT32_MAX), any_byte());
        const struct vigil part = vigil_within(&vigil, (uint32_t)any_size(0, UINT32_MAX), now);
        (void)vigil_deadline_ms(&part);
        (void)patience_name(vigil.class);
    }
}

int main(void)
{
    uint8_t apdu[65548];
    char text[TEXT + 1];
    struct patience_table table = patience_defaults;
    const char *mistake;
    any_bytes(apdu, sizeof apdu);
    Frama_C_make_unknown(text, TEXT);
    text[TEXT] = '\0';
    (void)patience_classify(apdu, any_size(0, sizeof apdu));
    wait(&patience_defaults);
    if (patience_parse(text, &table, &mistake))
        wait(&table);
    return 0;
}
