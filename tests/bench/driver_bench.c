/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * driver_bench.c - any IFD handler, called as pcscd calls it, without pcscd around it; see USAGE.
 *
 * The program's own malloc and its kin stand before the C library's for everything it loads, and count who calls them.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <winscard.h>
#include <ifdhandler.h>

#define ANSWER_MAX 65538

static const char USAGE[] =
    "Usage: driver_bench DRIVER DEVICE-NAME COUNT APDU...\n"
    "Opens the device by the driver (a shared object), powers the card on, sends the APDUs, then the last one COUNT times\n"
    "more. Prints lines NAME VALUE:\n"
    "  open_ms      from IFDHCreateChannelByName to the ATR\n"
    "  answer       length of the last answer\n"
    "  apdu_ms      each of the COUNT APDUs, on average\n"
    "  allocations  in each of them, by the driver itself\n"
    "  allocations_in_libusb\n";

/* ---- who allocates ---- */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static struct range {
    uintptr_t begin, end;
} driver_code, libusb_code;
static atomic_ulong driver_allocations, libusb_allocations;

static bool inside(const struct range *range, const void *address)
{
    return (uintptr_t)address >= range->begin && (uintptr_t)address < range->end;
}

static void count(const void *caller)
{
    if (inside(&driver_code, caller))
        atomic_fetch_add(&driver_allocations, 1);
    else if (inside(&libusb_code, caller))
        atomic_fetch_add(&libusb_allocations, 1);
}

void *malloc(size_t size)
{
    count(__builtin_return_address(0));
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    count(__builtin_return_address(0));
    return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    count(__builtin_return_address(0));
    return __libc_realloc(old, size);
}

/* Where the code of a file is in memory. */
static struct range find_code(const char *file)
{
    struct range range = { 0, 0 };
    char line[512], permissions[5];
    uintptr_t begin, end;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps))
        if (strstr(line, file) && sscanf(line, "%lx-%lx %4s", &begin, &end, permissions) == 3 && permissions[2] == 'x')
            range = (struct range){ begin, end };
    if (maps)
        fclose(maps);
    return range;
}

/* ---- what pcscd offers its drivers ---- */

void log_msg(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_msg(int priority, const char *format, ...)
{
    (void)priority, (void)format;
}

void log_xxd(int priority, const char *message, const unsigned char *bytes, int length);
void log_xxd(int priority, const char *message, const unsigned char *bytes, int length)
{
    (void)priority, (void)message, (void)bytes, (void)length;
}

/* ---- the driver ---- */

static struct {
    RESPONSECODE (*create)(DWORD, LPSTR);
    RESPONSECODE (*close)(DWORD);
    RESPONSECODE (*presence)(DWORD);
    RESPONSECODE (*power)(DWORD, DWORD, PUCHAR, PDWORD);
    RESPONSECODE (*set_protocol)(DWORD, DWORD, UCHAR, UCHAR, UCHAR, UCHAR);
    RESPONSECODE (*transmit)(DWORD, SCARD_IO_HEADER, PUCHAR, DWORD, PUCHAR, PDWORD, PSCARD_IO_HEADER);
} driver;

static void take(void *library, const char *name, void *pointer)
{
    void *const function = dlsym(library, name);
    if (!function) {
        fprintf(stderr, "driver_bench: no %s in the driver\n", name);
        exit(1);
    }
    memcpy(pointer, &function, sizeof function);
}

static void load(const char *file)
{
    void *const library = dlopen(file, RTLD_NOW);
    if (!library) {
        fprintf(stderr, "driver_bench: %s\n", dlerror());
        exit(1);
    }
    take(library, "IFDHCreateChannelByName", &driver.create);
    take(library, "IFDHCloseChannel", &driver.close);
    take(library, "IFDHICCPresence", &driver.presence);
    take(library, "IFDHPowerICC", &driver.power);
    take(library, "IFDHSetProtocolParameters", &driver.set_protocol);
    take(library, "IFDHTransmitToICC", &driver.transmit);
    driver_code = find_code(strrchr(file, '/') ? strrchr(file, '/') : file);
    libusb_code = find_code("/libusb-1.0.so");
}

static void must(RESPONSECODE code, const char *what)
{
    if (code == IFD_SUCCESS)
        return;
    fprintf(stderr, "driver_bench: %s: %ld\n", what, code);
    exit(1);
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6;
}

static void power_on(char *name)
{
    UCHAR atr[MAX_ATR_SIZE];
    DWORD length = sizeof atr;
    const double begun = now_ms();
    must(driver.create(0, name), "IFDHCreateChannelByName");
    (void)driver.presence(0);
    must(driver.power(0, IFD_POWER_UP, atr, &length), "IFDHPowerICC");
    printf("open_ms %.3f\n", now_ms() - begun);
    must(driver.set_protocol(0, SCARD_PROTOCOL_T1, 0, 0, 0, 0), "IFDHSetProtocolParameters");
}

static DWORD transmit(UCHAR *apdu, DWORD length)
{
    static UCHAR answer[ANSWER_MAX];
    DWORD answer_length = sizeof answer;
    SCARD_IO_HEADER send = { .Protocol = 1, .Length = sizeof send }, receive = send;
    must(driver.transmit(0, send, apdu, length, answer, &answer_length, &receive), "IFDHTransmitToICC");
    return answer_length;
}

static DWORD parse(const char *hex, UCHAR *bytes, DWORD size)
{
    DWORD length = 0;
    for (; length < size && sscanf(hex, "%2hhx", &bytes[length]) == 1; hex += 2)
        length++;
    return length;
}

int main(int argc, char *argv[])
{
    static UCHAR apdu[4096];
    DWORD length = 0, answer_length = 0;
    if (argc < 5)
        return fputs(USAGE, stderr), 2;
    load(argv[1]);
    power_on(argv[2]);
    const unsigned long times = strtoul(argv[3], NULL, 10);
    for (int i = 4; i < argc; i++) {
        length = parse(argv[i], apdu, sizeof apdu);
        answer_length = transmit(apdu, length);
    }
    printf("answer %lu\n", answer_length);
    atomic_store(&driver_allocations, 0);
    atomic_store(&libusb_allocations, 0);
    const double begun = now_ms();
    for (unsigned long i = 0; i < times; i++)
        (void)transmit(apdu, length);
    if (times)
        printf("apdu_ms %.4f\nallocations %.3f\nallocations_in_libusb %.3f\n", (now_ms() - begun) / (double)times,
               (double)atomic_load(&driver_allocations) / (double)times,
               (double)atomic_load(&libusb_allocations) / (double)times);
    must(driver.close(0), "IFDHCloseChannel");
    return 0;
}
