/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* model.c - look-up in the generated table of models. */
#include "model.h"
#include <string.h>
#include "models.h"

const struct model *model_find(uint16_t vendor_id, uint16_t product_id)
{
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        if (models[i].vendor_id == vendor_id && models[i].product_id == product_id)
            return &models[i];
    return NULL;
}

uint16_t model_main_vendor(void)
{
    return MAIN_VENDOR_ID;
}

bool model_is_mute_answer(const struct model *model, const uint8_t *data, size_t length)
{
    return model->has_mute_answer && length == model->mute_answer_len && memcmp(data, model->mute_answer, length) == 0;
}
