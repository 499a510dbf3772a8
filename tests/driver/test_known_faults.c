/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_known_faults.c - faults that drivers of this kind have had: none of them is in this one.
 *
 * Where a fault was published, the comment says where. Each is tried with a key that does what it takes; the test is
 * built with AddressSanitizer as well. What a client's buffer holds is looked at beyond what the driver says it wrote.
 */
#include "bench.h"
#include <stdio.h>
#include <string.h>
#include <PCSC/reader.h>
#include "scripted_key.h"

#define TPDU "nitrokey-pro-2"
#define SHORT "nitrokey-start-rtm13"
#define EXTENDED "nitrokey-3"

static const char *const LEVELS[] = { TPDU, SHORT, EXTENDED };

#define FOR_EACH_LEVEL(model)                                                                                          \
    for (const char *const *level_ = LEVELS, *model; level_ < LEVELS + 3 && (model = *level_); level_++)

#define CANARY 0xc5

static uint8_t received[65548 + 64];

/* ---- what pcscd does ---- */

/* Powers on into a buffer as large as pcscd's, 33 bytes; *length is what is said to be in it. */
static RESPONSECODE power_on(DWORD *length)
{
    UCHAR atr[33 + 16];
    memset(atr, CANARY, sizeof atr);
    *length = 33;
    const RESPONSECODE code = IFDHPowerICC(LUN, IFD_POWER_UP, atr, length);
    assert_true(*length <= 33);
    for (size_t i = *length; i < sizeof atr; i++)
        assert_int_equal(atr[i], CANARY);
    return code;
}

static struct scripted_key *started(const char *model)
{
    DWORD length;
    struct scripted_key *key = scripted_new(model);
    scripted_plug(key);
    assert_int_equal(scripted_open(key), IFD_SUCCESS);
    assert_int_equal(power_on(&length), IFD_SUCCESS);
    return key;
}

static void end(struct scripted_key *key)
{
    IFDHCloseChannel(LUN);
    scripted_free(key);
}

/* Transmits into a buffer of so many bytes. Nothing is written beyond what is said to be there. */
static RESPONSECODE transmit(const uint8_t *apdu, size_t apdu_length, DWORD size, DWORD *length)
{
    const SCARD_IO_HEADER pci = { .Protocol = 1, .Length = sizeof pci };
    SCARD_IO_HEADER got = pci;
    memset(received, CANARY, sizeof received);
    *length = size;
    const RESPONSECODE code = IFDHTransmitToICC(LUN, pci, (PUCHAR)(uintptr_t)apdu, apdu_length, received, length, &got);
    assert_true(*length <= size);
    assert_true(code == IFD_SUCCESS || *length == 0);
    for (size_t i = size; i < sizeof received; i++)
        assert_int_equal(received[i], CANARY);
    return code;
}

static const uint8_t GET[] = { 0x00, 0xca, 0x00, 0x4f, 0x00 };

static RESPONSECODE get(void)
{
    DWORD length;
    return transmit(GET, sizeof GET, 65548, &length);
}

/* As soon as the key is honest it serves within so long, if need be after a reset that is told. The clients' tries are all
 * that takes time. */
static void serves_within(struct scripted_key *key, int64_t limit_us)
{
    const int64_t begun = virtual_now_us(key->slot);
    key->answer = scripted_honest;
    while (get() != IFD_SUCCESS) {
        if (virtual_now_us(key->slot) - begun > limit_us)
            fail_msg("%s does not serve any more", key->identity.name);
        for (int round = 0; round < 2 && IFDHICCPresence(LUN) == IFD_ICC_NOT_PRESENT; round++)
            (void)bench_event_thread();
    }
    assert_memory_equal(received, "\x90\0", 2);
    assert_true(virtual_now_us(key->slot) - begun <= limit_us);
}

/* After whatever the key has answered. */
static void serves_when_honest(struct scripted_key *key)
{
    serves_within(key, 2 * SECOND);
}

/* After an answer that never comes: one of firmware that says nothing while it is at work is awaited for 3 minutes. */
static void serves_when_the_answer_is_lost(struct scripted_key *key)
{
    serves_within(key, strcmp(key->identity.name, EXTENDED) == 0 ? 2 * SECOND : 3 * MINUTE + SECOND);
}

/* ---- answers that lie about their length ---- */

static uint32_t lie; /* dwLength */

static size_t says_another_length(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    const size_t honest = scripted_honest(key, command, length, answer);
    for (unsigned i = 0; i < 4; i++)
        answer[1 + i] = (uint8_t)(lie >> 8 * i);
    return honest;
}

/* libccid before 1.8.1 copied dwLength bytes of what it had received: the rest came from its stack. Its dwLength plus 10
 * overflowed as well. */
static void a_short_frame_that_says_it_is_long_gives_nothing_that_it_did_not_carry(void **state)
{
    static const uint32_t LIES[] = { 3, 0x200, 0x10000, 0x7fffffff, 0x80000000, 0xfffffff6, 0xffffffff };
    (void)state;
    FOR_EACH_LEVEL(model)
        for (size_t i = 0; i < sizeof LIES / sizeof LIES[0]; i++) {
            struct scripted_key *key = started(model);
            key->answer = says_another_length;
            lie = LIES[i] == 3 && model == LEVELS[0] ? 7 : LIES[i]; /* a T=1 block has 6 bytes here */
            assert_int_not_equal(get(), IFD_SUCCESS);
            serves_when_honest(key);
            end(key);
        }
}

/* The same at PowerOn: libccid before 1.4.32 (a382095d) wrote dwLength bytes to the 33 of its caller. */
static void an_atr_that_says_it_is_long_is_no_atr(void **state)
{
    static const uint32_t LIES[] = { 34, 255, 0x7fffffff, 0xfffffff6, 0xffffffff };
    (void)state;
    FOR_EACH_LEVEL(model)
        for (size_t i = 0; i < sizeof LIES / sizeof LIES[0]; i++) {
            DWORD length;
            struct scripted_key *key = started(model);
            key->answer = says_another_length;
            lie = LIES[i];
            assert_int_not_equal(power_on(&length), IFD_SUCCESS);
            assert_int_equal(length, 0); /* and no garbage behind: LudovicRousseau/CCID#130 */
            key->answer = scripted_honest;
            assert_int_equal(power_on(&length), IFD_SUCCESS);
            assert_int_equal(length, key->atr_length);
            end(key);
        }
}

static size_t cut; /* bytes that come of an answer */

static size_t is_cut(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    const size_t honest = scripted_honest(key, command, length, answer);
    key->empty_packet = cut == 0;
    return cut < honest ? cut : honest;
}

/* An empty packet made libccid before 1.8.1 subtract its header from nothing and write beyond its stack buffer. */
static void an_answer_shorter_than_its_header_is_no_answer(void **state)
{
    (void)state;
    FOR_EACH_LEVEL(model)
        for (cut = 0; cut < 10; cut++) {
            struct scripted_key *key = started(model);
            key->answer = is_cut;
            assert_int_not_equal(get(), IFD_SUCCESS);
            serves_when_the_answer_is_lost(key);
            end(key);
        }
}

static size_t comes_after_an_empty_packet(struct scripted_key *key, const uint8_t *command, size_t length,
                                          uint8_t *answer)
{
    key->empty_packet = true;
    return scripted_honest(key, command, length, answer);
}

static void an_empty_packet_before_the_answer_costs_nothing(void **state)
{
    (void)state;
    FOR_EACH_LEVEL(model) {
        struct scripted_key *key = started(model);
        key->answer = comes_after_an_empty_packet;
        assert_int_equal(get(), IFD_SUCCESS);
        end(key);
    }
}

static size_t never_ends(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    (void)key;
    (void)length;
    memset(answer, 0, SCRIPTED_MAX);
    (void)scripted_frame(command, NULL, 0, answer);
    answer[3] = 1; /* dwLength 65536 */
    return SCRIPTED_MAX;
}

/* LudovicRousseau/CCID#161: a message longer than the buffer of the transfer (LIBUSB_ERROR_OVERFLOW), and the reader was
 * dead from then on. */
static void a_message_longer_than_any_buffer_is_an_error_and_the_next_is_right(void **state)
{
    (void)state;
    FOR_EACH_LEVEL(model) {
        struct scripted_key *key = started(model);
        key->answer = never_ends;
        assert_int_not_equal(get(), IFD_SUCCESS);
        serves_when_honest(key);
        end(key);
    }
}

/* ---- slots, numbers, types ---- */

static uint8_t wrong_at, wrong_by; /* which byte of the header, and what is added to it */

static size_t has_a_wrong_byte(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    const size_t honest = scripted_honest(key, command, length, answer);
    answer[wrong_at] = (uint8_t)(answer[wrong_at] + wrong_by);
    return honest;
}

/* libccid before 1.8.1 took bSlot for an index. It also takes data blocks with any bSeq, slot and type. */
static void an_answer_of_another_slot_number_or_type_is_nobodys(void **state)
{
    static const uint8_t WHERE[] = { 0, 5, 6 };
    (void)state;
    FOR_EACH_LEVEL(model)
        for (size_t i = 0; i < sizeof WHERE; i++)
            for (wrong_by = 255; wrong_by > 0; wrong_by = (uint8_t)(wrong_by / 2)) {
                struct scripted_key *key = started(model);
                wrong_at = WHERE[i];
                key->answer = has_a_wrong_byte;
                assert_int_not_equal(get(), IFD_SUCCESS);
                serves_when_the_answer_is_lost(key);
                end(key);
            }
}

/* An interrupt message longer than 8 bytes overran the buffer of libccid's thread for them. */
static void what_the_interrupt_endpoint_says_is_not_even_read(void **state)
{
    (void)state;
    FOR_EACH_LEVEL(model) {
        struct scripted_key *key = started(model);
        assert_int_equal(get(), IFD_SUCCESS);
        assert_int_equal(bench_event_thread(), IFD_ICC_PRESENT);
        assert_int_equal(key->interrupts, 0);
        end(key);
    }
}

/* ---- descriptors ---- */

static void set_le32(uint8_t *bytes, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
}

/* dwMaxCCIDMessageLength below 10 was less than nothing in libccid; a huge one is as much memory. */
static void the_longest_message_may_be_said_to_be_anything(void **state)
{
    static const uint32_t SAID[] = { 0, 1, 9, 10, 11, 0x7fffffff, 0xfffffff5, 0xffffffff };
    (void)state;
    FOR_EACH_LEVEL(model)
        for (size_t i = 0; i < sizeof SAID / sizeof SAID[0]; i++) {
            struct scripted_key *key = scripted_new(model);
            uint32_t most = 1;
            DWORD length = sizeof most;
            set_le32(scripted_class(key) + 44, SAID[i]);
            scripted_plug(key);
            assert_int_equal(scripted_open(key), IFD_SUCCESS);
            assert_int_equal(IFDHGetCapabilities(LUN, SCARD_ATTR_MAXINPUT, &length, (PUCHAR)&most), IFD_SUCCESS);
            assert_int_equal(most, SAID[i] > 10 ? SAID[i] - 10 : 0);
            assert_int_equal(power_on(&length), IFD_SUCCESS);
            assert_int_equal(get(), IFD_SUCCESS);
            end(key);
        }
}

/* A reader may say how many clock frequencies and data rates it can list, and list others: libccid asks for as many as
 * the descriptor says (bNumDataRatesSupported) into a buffer of its own. Of slots, bMaxSlotIndex. */
static void what_a_descriptor_promises_to_list_is_never_asked_for(void **state)
{
    (void)state;
    FOR_EACH_LEVEL(model) {
        DWORD length;
        UCHAR slots;
        struct scripted_key *key = scripted_new(model);
        uint8_t *const class = scripted_class(key);
        class[4] = 0xff;              /* bMaxSlotIndex */
        class[18] = class[27] = 0xff; /* bNumClockSupported, bNumDataRatesSupported */
        class[53] = 0xff;             /* bMaxCCIDBusySlots */
        scripted_plug(key);
        assert_int_equal(scripted_open(key), IFD_SUCCESS);
        assert_int_equal(power_on(&length), IFD_SUCCESS);
        assert_int_equal(get(), IFD_SUCCESS);
        assert_int_equal(key->class_requests, 0);
        length = 1;
        assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_SLOTS_NUMBER, &length, &slots), IFD_SUCCESS);
        assert_int_equal(slots, 1);
        end(key);
    }
}

/* CVE-2010-4530 (libccid, the length of a serial number is negative), CVE-2010-4523 (OpenSC, it is too long). */
static void a_serial_number_of_any_length_fits_or_is_told_not_to(void **state)
{
    (void)state;
    char serial[127];
    memset(serial, 'F', sizeof serial - 1);
    serial[sizeof serial - 1] = '\0';
    for (size_t said = 0; said < sizeof serial; said += 42) {
        struct scripted_key *key = scripted_new(TPDU);
        UCHAR value[264 + 16];
        for (unsigned i = 1; i < 8; i++)
            key->identity.strings[i] = serial + said;
        scripted_plug(key);
        assert_int_equal(scripted_open(key), IFD_SUCCESS);
        for (DWORD size = 0; size <= 264; size++) {
            DWORD length = size;
            memset(value, CANARY, sizeof value);
            if (IFDHGetCapabilities(LUN, SCARD_ATTR_VENDOR_IFD_SERIAL_NO, &length, value) == IFD_SUCCESS)
                assert_true(length <= size && value[length - 1] == '\0');
            for (size_t i = size; i < sizeof value; i++)
                assert_int_equal(value[i], CANARY);
        }
        end(key);
    }
}

/* ---- ATRs ---- */

/* CVE-2010-4531, LudovicRousseau/PCSC#264: pcscd walks along the TDi bytes, also beyond what there is. So no ATR may get
 * to it that promises more than it has. */
static void an_atr_that_promises_more_than_it_has_never_gets_to_pcscd(void **state)
{
    (void)state;
    FOR_EACH_LEVEL(model)
        for (size_t size = 2; size <= 33; size++) {
            DWORD length;
            struct scripted_key *key = started(model);
            memset(key->atr, 0x81, sizeof key->atr); /* TDi: T=1, and another TD follows */
            key->atr[0] = 0x3b;
            key->atr[1] = 0x80;
            key->atr_length = size;
            assert_int_not_equal(power_on(&length), IFD_SUCCESS);
            assert_int_equal(length, 0);
            memset(key->atr, 0xf1, sizeof key->atr); /* all four interface bytes, each time */
            key->atr[0] = 0x3b;
            assert_int_not_equal(power_on(&length), IFD_SUCCESS);
            assert_int_equal(length, 0);
            end(key);
        }
}

static size_t atr_size;

static size_t has_a_long_atr(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    uint8_t atr[512] = { 0x3b };
    if (command[0] != POWER_ON)
        return scripted_honest(key, command, length, answer);
    memcpy(atr, key->atr, key->atr_length);
    return scripted_frame(command, atr, atr_size, answer);
}

/* MAX_ATR_SIZE is 33 in pcscd, and what is behind its buffer are its own variables. */
static void an_atr_is_never_longer_than_33_bytes(void **state)
{
    (void)state;
    FOR_EACH_LEVEL(model)
        for (atr_size = 34; atr_size <= 512; atr_size += 7) {
            DWORD length;
            struct scripted_key *key = started(model);
            key->answer = has_a_long_atr;
            assert_int_not_equal(power_on(&length), IFD_SUCCESS);
            assert_int_equal(length, 0);
            end(key);
        }
}

/* T=0's procedure bytes overran a buffer in libccid before 1.4.35 (T0ProcACK). Here there is no T=0. */
static void a_card_that_speaks_t0_only_is_refused(void **state)
{
    (void)state;
    FOR_EACH_LEVEL(model) {
        DWORD length;
        struct scripted_key *key = started(model);
        memcpy(key->atr, "\x3b\x02\x14\x50", 4);
        key->atr_length = 4;
        assert_int_equal(power_on(&length), IFD_ERROR_POWER_ACTION);
        assert_int_not_equal(get(), IFD_SUCCESS);
        end(key);
    }
}

/* ---- T=1 ---- */

static uint8_t block_pcb, block_says;
static size_t block_inf, block_bytes;

/* In place of a T=1 block: some bytes of one whose LEN says something else. */
static size_t sends_a_bad_block(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    static const uint8_t inf[254] = { 0x90, 0x00 };
    const bool i_block = command[0] == XFR_BLOCK && !(command[11] & 0x80);
    if (!i_block)
        return scripted_honest(key, command, length, answer);
    const size_t whole = scripted_block(command, block_pcb, block_says, inf, block_inf, answer);
    if (block_bytes >= whole - 10)
        return whole;
    answer[1] = (uint8_t)block_bytes;
    return 10 + block_bytes;
}

static void bad_block(uint8_t pcb, uint8_t says, size_t inf, size_t bytes)
{
    struct scripted_key *key = started(TPDU);
    block_pcb = pcb;
    block_says = says;
    block_inf = inf;
    block_bytes = bytes;
    key->answer = sends_a_bad_block;
    assert_int_not_equal(get(), IFD_SUCCESS);
    serves_when_honest(key);
    end(key);
}

/* LudovicRousseau/CCID#139: four bytes were taken off an answer that had less. */
static void a_block_shorter_than_its_frame_is_no_block(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < 4; bytes++)
        bad_block(0x00, 2, 2, bytes);
}

/* CVE-2010-4530's kind: a length above 127 is no negative number, and one above what came is none either. */
static void a_block_that_says_it_is_longer_is_no_block(void **state)
{
    static const uint8_t SAID[] = { 0, 1, 3, 127, 128, 254, 255 };
    (void)state;
    for (size_t i = 0; i < sizeof SAID; i++)
        bad_block(0x00, SAID[i], 2, 999);
}

/* S-blocks whose INF is not there, or of a value that would divide by nothing or fill nothing: IFS 0 and 255. */
static void an_s_block_without_its_byte_is_no_s_block(void **state)
{
    (void)state;
    bad_block(0xc3, 0, 0, 999); /* S(WTX request) */
    bad_block(0xc3, 2, 2, 999);
    bad_block(0xc1, 0, 0, 999); /* S(IFS request) */
    bad_block(0xe0, 1, 1, 999); /* S(RESYNCH response), which nobody asked for */
}

static uint8_t ifs;
static bool asked;

/* Before its first answer the card asks for blocks of another size, and then goes on whatever it is told. */
static size_t asks_for_ifs(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    const bool i_block = command[0] == XFR_BLOCK && !(command[11] & 0x80);
    const size_t honest = scripted_honest(key, command, length, answer);
    if (asked && !i_block)
        return scripted_frame(command, key->block, key->block_length, answer);
    if (asked || !i_block)
        return honest;
    asked = true;
    return scripted_block(command, 0xc1, 1, &ifs, 1, answer);
}

static void blocks_of_no_bytes_at_all_are_not_agreed_to(void **state)
{
    static const uint8_t SIZES[] = { 0, 255 };
    (void)state;
    for (size_t i = 0; i < sizeof SIZES; i++) {
        struct scripted_key *key = started(TPDU);
        ifs = SIZES[i];
        asked = false;
        key->answer = asks_for_ifs;
        assert_int_equal(get(), IFD_SUCCESS);
        key->answer = scripted_honest;
        assert_int_equal(get(), IFD_SUCCESS);
        end(key);
    }
}

static bool more_i_ns;

static size_t chains_for_ever(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    static const uint8_t inf[254] = { 1 };
    if (command[0] != XFR_BLOCK || (command[11] & 0xc0) == 0xc0)
        return scripted_honest(key, command, length, answer);
    more_i_ns = !more_i_ns;
    return scripted_block(command, more_i_ns ? 0x20 : 0x60, 254, inf, 254, answer);
}

/* An answer that never ends must not end somewhere in memory, and not take for ever. */
static void a_chain_of_blocks_without_end_is_given_up(void **state)
{
    (void)state;
    struct scripted_key *key = started(TPDU);
    more_i_ns = false;
    key->answer = chains_for_ever;
    const unsigned before = key->commands;
    assert_int_not_equal(get(), IFD_SUCCESS);
    assert_true(key->commands - before < 10000);
    serves_when_honest(key);
    end(key);
}

/* ---- CCID's own chaining ---- */

static size_t is_one_part_of_many(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    static const uint8_t part[60] = { 1 };
    if (command[0] != XFR_BLOCK)
        return scripted_honest(key, command, length, answer);
    const size_t whole = scripted_frame(command, part, sizeof part, answer);
    answer[9] = command[8] == 0x10 ? 3 : 1; /* the beginning, then continued, for ever */
    return whole;
}

static void an_answer_in_parts_without_end_is_given_up(void **state)
{
    (void)state;
    for (size_t i = 1; i < 3; i++) {
        struct scripted_key *key = started(LEVELS[i]);
        key->answer = is_one_part_of_many;
        const unsigned before = key->commands;
        assert_int_not_equal(get(), IFD_SUCCESS);
        assert_true(key->commands - before < 10000);
        serves_when_honest(key);
        end(key);
    }
}

/* ---- what clients can do ---- */

/* LudovicRousseau/CCID#5: with room for the status word only, what was beyond the answer was read. */
static void a_client_has_room_for_exactly_the_answer_or_less(void **state)
{
    (void)state;
    FOR_EACH_LEVEL(model)
        for (DWORD size = 0; size < 4; size++) {
            DWORD length;
            struct scripted_key *key = started(model);
            const RESPONSECODE code = transmit(GET, sizeof GET, size, &length);
            assert_int_equal(code, size < 2 ? IFD_ERROR_INSUFFICIENT_BUFFER : IFD_SUCCESS);
            if (size >= 2)
                assert_memory_equal(received, "\x90\0", 2);
            assert_int_equal(length, size < 2 ? 0 : 2);
            serves_when_honest(key);
            end(key);
        }
}

/* CVE-2010-0407: what clients say of lengths went unchecked through pcscd. An APDU is as long as it likes. */
static void an_apdu_of_any_length_is_sent_whole_or_refused(void **state)
{
    static const size_t LENGTHS[] = { 4, 5, 260, 261, 262, 271, 272, 3000, 65535, 65536, 65544, 65545, 65546, 100000 };
    static uint8_t apdu[100000];
    (void)state;
    FOR_EACH_LEVEL(model)
        for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
            DWORD length;
            struct scripted_key *key = started(model);
            const RESPONSECODE code = transmit(apdu, LENGTHS[i], 65548, &length);
            assert_true(code != IFD_SUCCESS || length >= 2);
            serves_when_honest(key);
            end(key);
        }
}

/* libccid's escape trusted dwLength. No escape leaves here, so that nothing comes back. */
static void no_escape_is_sent(void **state)
{
    (void)state;
    FOR_EACH_LEVEL(model) {
        struct scripted_key *key = started(model);
        const unsigned before = key->commands;
        UCHAR in[4] = { 0x02, 0, 0, 0 }, out[300];
        for (int code = 0; code < 4000; code++) {
            DWORD length = 1;
            const DWORD number = (DWORD)SCARD_CTL_CODE(code);
            const RESPONSECODE result = IFDHControl(LUN, number, in, sizeof in, out, sizeof out, &length);
            assert_true(result == IFD_SUCCESS || (result == IFD_ERROR_NOT_SUPPORTED && length == 0));
        }
        assert_int_equal(key->commands, before);
        end(key);
    }
}

/* CVE-2016-10109: a context was freed while a command used it. Here pcscd closes a reader in the middle of one: it is
 * freed when the command has ended, and not before, which it does at once. */
static void a_reader_closed_in_the_middle_of_a_command_is_freed_after_it(void **state)
{
    (void)state;
    static const struct icc_timing slow = { .work_us = 60 * SECOND };
    struct bench *b = bench_new(&slow);
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    assert_int_not_equal(bench_close_while(b, GENERATE_SIGNATURE_KEY, 5 * SECOND), IFD_SUCCESS);
    assert_int_equal(IFDHICCPresence(LUN), IFD_COMMUNICATION_ERROR);
    assert_int_equal(IFDHCloseChannel(LUN), IFD_COMMUNICATION_ERROR); /* nothing is freed twice */
    bench_free(b);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_short_frame_that_says_it_is_long_gives_nothing_that_it_did_not_carry),
        TEST(an_atr_that_says_it_is_long_is_no_atr),
        TEST(an_answer_shorter_than_its_header_is_no_answer),
        TEST(an_empty_packet_before_the_answer_costs_nothing),
        TEST(a_message_longer_than_any_buffer_is_an_error_and_the_next_is_right),
        TEST(an_answer_of_another_slot_number_or_type_is_nobodys),
        TEST(what_the_interrupt_endpoint_says_is_not_even_read),
        TEST(the_longest_message_may_be_said_to_be_anything),
        TEST(what_a_descriptor_promises_to_list_is_never_asked_for),
        TEST(a_serial_number_of_any_length_fits_or_is_told_not_to),
        TEST(an_atr_that_promises_more_than_it_has_never_gets_to_pcscd),
        TEST(an_atr_is_never_longer_than_33_bytes),
        TEST(a_card_that_speaks_t0_only_is_refused),
        TEST(a_block_shorter_than_its_frame_is_no_block),
        TEST(a_block_that_says_it_is_longer_is_no_block),
        TEST(an_s_block_without_its_byte_is_no_s_block),
        TEST(blocks_of_no_bytes_at_all_are_not_agreed_to),
        TEST(a_chain_of_blocks_without_end_is_given_up),
        TEST(an_answer_in_parts_without_end_is_given_up),
        TEST(a_client_has_room_for_exactly_the_answer_or_less),
        TEST(an_apdu_of_any_length_is_sent_whole_or_refused),
        TEST(no_escape_is_sent),
        TEST(a_reader_closed_in_the_middle_of_a_command_is_freed_after_it),
    };
    return cmocka_run_group_tests_name("known faults", tests, NULL, NULL);
}
