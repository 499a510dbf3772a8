/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_model.c - a model is found by its own numbers only, and a mute answer is told by all of its bytes. */
#include <assert.h>
#include <string.h>
#include "model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    const uint16_t vendor_id = (uint16_t)(data[0] | data[1] << 8), product_id = (uint16_t)(data[2] | data[3] << 8);
    const struct model *const model = model_find(vendor_id, product_id);
    if (!model)
        return 0;
    assert(model->vendor_id == vendor_id && model->product_id == product_id && model->name[0]);
    assert(model->ifsd >= 32 && model->ifsd <= 254);
    assert(model->mute_answer_len <= sizeof model->mute_answer);
    if (model_is_mute_answer(model, data + 4, size - 4)) {
        assert(model->has_mute_answer && size - 4 == model->mute_answer_len);
        assert(memcmp(data + 4, model->mute_answer, size - 4) == 0);
    }
    return 0;
}
