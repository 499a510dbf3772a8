/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_patience.c - no text and no device makes a wait longer than its total, and a mistake changes nothing. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "patience.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void wait_within(const struct patience_table *table, enum patience_class class, const uint8_t *data, size_t size)
{
    struct vigil vigil = vigil_begin(table, class, 0);
    int64_t now = 0;
    for (size_t i = 0; i + 2 < size && now < vigil_deadline_ms(&vigil); i += 3) {
        now += data[i] * 1000;
        vigil_renew(&vigil, now);
        vigil_allow(&vigil, (uint32_t)data[i + 1] << 10, data[i + 2]);
        assert(vigil_deadline_ms(&vigil) <= table->of[class].total_ms);
        const struct vigil part = vigil_within(&vigil, 5000, now);
        assert(vigil_deadline_ms(&part) <= now || vigil_deadline_ms(&part) <= vigil_deadline_ms(&vigil));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct patience_table table = patience_defaults;
    const char *mistake = NULL;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (!patience_parse(text, &table, &mistake)) {
        assert(memcmp(&table, &patience_defaults, sizeof table) == 0);
        assert(mistake >= text && mistake <= text + strlen(text));
    }
    for (unsigned i = 0; i < PATIENCE_CLASSES; i++)
        assert(table.of[i].silence_ms > 0 && table.of[i].silence_ms <= table.of[i].total_ms);
    wait_within(&table, patience_classify(data, size), data, size);
    free(text);
    return 0;
}
