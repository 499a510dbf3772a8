/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* answer_chain.c - command chaining and GET RESPONSE as a card does them (ISO 7816-4 §5.3.3, §5.3.4). */
#include "answer_chain.h"
#include <string.h>
#include <openssl/crypto.h>

enum chain_state command_chain_join(struct command_chain *chain, struct command *command, size_t most)
{
    const uint8_t header[] = { command->ins, command->p1, command->p2 };
    if (memcmp(chain->header, header, sizeof header) != 0)
        chain->length = 0;
    memcpy(chain->header, header, sizeof header);
    if (command->length > most - chain->length) {
        chain->length = 0;
        return CHAIN_TOO_LONG;
    }
    if (command->length > 0)
        memcpy(chain->bytes + chain->length, command->data, command->length);
    chain->length += command->length;
    if (command->cla & CLA_CHAIN)
        return CHAIN_GOES_ON;
    command->data = chain->bytes;
    command->length = chain->length;
    chain->length = 0;
    return CHAIN_WHOLE;
}

void command_chain_forget(struct command_chain *chain)
{
    OPENSSL_cleanse(chain, sizeof *chain);
}

void answer_chain_forget(struct answer_chain *chain)
{
    OPENSSL_cleanse(chain->bytes, sizeof chain->bytes);
    chain->delivered = 0;
    chain->data = (struct tlv_writer){ .bytes = chain->bytes, .size = sizeof chain->bytes - 2 };
}

void answer_chain_expect(struct answer_chain *chain, const struct command *command, bool unasked)
{
    chain->expected = command->expected;
    if (command->expected == 0 && unasked)
        chain->expected = command->extended ? 65536 : 256;
}

bool answer_chain_has_more(const struct answer_chain *chain)
{
    return chain->delivered < chain->data.length;
}

size_t answer_chain_take(struct answer_chain *chain, uint16_t status_word, uint8_t *answer, size_t capacity)
{
    const size_t left = chain->data.length - chain->delivered, room = capacity - 2;
    size_t length = left < chain->expected ? left : chain->expected;
    length = length < room ? length : room;
    memcpy(answer, chain->bytes + chain->delivered, length);
    chain->delivered += length;
    if (left > length)
        status_word = (uint16_t)(0x6100 | (left - length > 255 ? 0 : left - length));
    answer[length] = (uint8_t)(status_word >> 8);
    answer[length + 1] = (uint8_t)status_word;
    return length + 2;
}
