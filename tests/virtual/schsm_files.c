/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* schsm_files.c - SELECT, READ BINARY, UPDATE BINARY, DELETE FILE, ENUMERATE OBJECTS of the SmartCard-HSM. */
#include "schsm_card.h"

static uint16_t identifier(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static bool is_key(uint16_t id)
{
    return id >> 8 == SCHSM_KEY;
}

static bool exists(struct schsm *card, uint16_t id)
{
    return is_key(id) ? card->memory.key[id & 0xff] != NULL : schsm_memory_file(&card->memory, id) != NULL;
}

uint16_t schsm_select_file(struct schsm *card, const struct command *command)
{
    if (command->length != 2)
        return SW_WRONG_LENGTH;
    const uint16_t id = identifier(command->data);
    if (!exists(card, id))
        return SW_NO_FILE;
    card->current = id;
    const struct schsm_file *const file = schsm_memory_file(&card->memory, id);
    const size_t size = file ? file->length : 0;
    const uint8_t fcp[] = { 0x80, 0x02, (uint8_t)(size >> 8), (uint8_t)size,   0x82, 0x01, 0x01,
                            0x83, 0x02, command->data[0],     command->data[1] };
    if (command->p2 == 0x00)
        tlv_put(&card->data, 0x62, fcp, sizeof fcp);
    return SW_OK;
}

/* P1-P2 of the odd instructions: a file, or 0000 for the current one. 0: there is none. */
static uint16_t which(const struct schsm *card, const struct command *command)
{
    const uint16_t id = (uint16_t)(command->p1 << 8 | command->p2);
    return id != 0 ? id : card->current;
}

/* The offset data object 54 at the beginning of the data. */
static bool find_offset(struct tlv_view *data, size_t *offset)
{
    uint16_t tag;
    struct tlv_view value;
    if (!tlv_next(data, &tag, &value) || tag != 0x54 || value.length < 1 || value.length > 2)
        return false;
    *offset = value.length == 1 ? value.bytes[0] : identifier(value.bytes);
    return true;
}

/* Reads what there is from the offset on, as much as is wanted; says so when that was less. */
uint16_t schsm_read(struct schsm *card, const struct command *command)
{
    struct tlv_view data = { command->data, command->length };
    size_t offset;
    const uint16_t id = which(card, command);
    if (id == 0)
        return SW_NO_CURRENT_FILE;
    if (is_key(id) || (id >> 8 == SCHSM_PROTECTED_DATA && !schsm_may_use(card)))
        return SW_SECURITY_STATUS;
    const struct schsm_file *const file = schsm_memory_file(&card->memory, id);
    if (!file)
        return SW_NO_FILE;
    if (!find_offset(&data, &offset) || data.length > 0)
        return SW_WRONG_DATA;
    if (offset > file->length)
        return SW_WRONG_OFFSET;
    const size_t left = file->length - offset;
    if (left > 0)
        tlv_append(&card->data, file->bytes + offset, left < command->expected ? left : command->expected);
    return left < command->expected ? SW_END_OF_FILE : SW_OK;
}

static bool may_be_written(uint16_t id)
{
    switch (id >> 8) {
    case SCHSM_PRKD:
    case SCHSM_CD:
    case SCHSM_DCOD:
    case SCHSM_CA_CERTIFICATE:
    case SCHSM_PROTECTED_DATA:
    case SCHSM_CERTIFICATE:
    case SCHSM_DATA:
        return true;
    default:
        return id == SCHSM_TOKEN_INFO || id == SCHSM_WRAPPED_KEY;
    }
}

/* Data 53 go to the offset; none at all make the file, or make it empty. A wrapped key begins anew with its first part. */
uint16_t schsm_update(struct schsm *card, const struct command *command)
{
    struct tlv_view data = { command->data, command->length }, value;
    size_t offset;
    uint16_t tag;
    const uint16_t id = which(card, command);
    if (id == 0)
        return SW_NO_CURRENT_FILE;
    if (!schsm_may_use(card) || !may_be_written(id))
        return SW_SECURITY_STATUS;
    if (!find_offset(&data, &offset) || !tlv_next(&data, &tag, &value) || tag != 0x53 || data.length > 0)
        return SW_WRONG_DATA;
    struct schsm_file *file = schsm_memory_file(&card->memory, id);
    if (!file || (offset == 0 && (value.length == 0 || id == SCHSM_WRAPPED_KEY)))
        file = schsm_memory_create(&card->memory, id);
    if (!file || !schsm_memory_write(file, offset, value))
        return SW_NO_MEMORY;
    card->current = id;
    schsm_save(card);
    return SW_OK;
}

uint16_t schsm_delete(struct schsm *card, const struct command *command)
{
    if (command->p1 != 0x02 || command->p2 != 0x00)
        return SW_WRONG_P1_P2;
    if (command->length != 2)
        return SW_WRONG_LENGTH;
    const uint16_t id = identifier(command->data);
    if (!exists(card, id))
        return SW_NO_FILE;
    if (!schsm_may_use(card) || id == (SCHSM_KEY << 8) || id == SCHSM_DEVICE_CERTIFICATE)
        return SW_SECURITY_STATUS;
    if (is_key(id))
        schsm_memory_set_key(&card->memory, (uint8_t)id, NULL);
    else
        schsm_memory_delete(&card->memory, schsm_memory_file(&card->memory, id));
    if (card->current == id)
        card->current = 0;
    schsm_save(card);
    return SW_OK;
}

static void put_identifier(struct schsm *card, unsigned id)
{
    const uint8_t bytes[] = { (uint8_t)(id >> 8), (uint8_t)id };
    tlv_append(&card->data, bytes, sizeof bytes);
}

/* The device's own key is one of them. */
uint16_t schsm_enumerate(struct schsm *card, const struct command *command)
{
    const struct schsm_memory *const memory = &card->memory;
    if (command->p1 != 0x00 || command->p2 != 0x00)
        return SW_WRONG_P1_P2;
    for (unsigned id = 0; id < SCHSM_KEYS; id++)
        if (memory->key[id])
            put_identifier(card, SCHSM_KEY << 8 | id);
    for (size_t i = 0; i < memory->files; i++)
        if (memory->file[i].id != SCHSM_DEVICE_CERTIFICATE)
            put_identifier(card, memory->file[i].id);
    return SW_OK;
}
