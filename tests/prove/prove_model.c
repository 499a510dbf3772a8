/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* prove_model.c - the look-up of every USB id, and every answer of a firmware of each model. */
#include "any.h"
#include "../../src/model.c"

int main(void)
{
    uint8_t data[8];
    any_bytes(data, sizeof data);
    const struct model *model = model_find((uint16_t)any_size(0, 0xffff), (uint16_t)any_size(0, 0xffff));
    if (model)
        (void)model_is_mute_answer(model, data, any_size(0, sizeof data));
    return 0;
}
