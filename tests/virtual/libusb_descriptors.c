/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libusb_descriptors.c - configuration descriptors as libusb hands them out, strict where it is strict. */
#include "libusb_objects.h"
#include <stdlib.h>
#include <string.h>

#define MOST 32 /* interfaces of a configuration, endpoints of an interface */

struct walk {
    const uint8_t *at;
    size_t left;
    bool broken; /* a descriptor says that it is shorter than a descriptor can be, or there is no memory for it */
};

/* A descriptor that can be read whole stands there. */
static bool whole(struct walk *walk)
{
    if (walk->left >= 2 && walk->at[0] < 2)
        walk->broken = true;
    return walk->left >= 2 && walk->at[0] >= 2 && walk->at[0] <= walk->left;
}

static void step(struct walk *walk)
{
    walk->left -= walk->at[0];
    walk->at += walk->at[0];
}

static bool is_known(uint8_t type)
{
    return type == LIBUSB_DT_DEVICE || type == LIBUSB_DT_CONFIG || type == LIBUSB_DT_INTERFACE ||
           type == LIBUSB_DT_ENDPOINT;
}

/* Class and vendor descriptors up to the next that USB itself knows: a copy, as *extra. */
static int take_extra(struct walk *walk, const unsigned char **extra)
{
    const uint8_t *const begin = walk->at;
    while (whole(walk) && !is_known(walk->at[1]))
        step(walk);
    const size_t length = (size_t)(walk->at - begin);
    unsigned char *const copy = length > 0 ? malloc(length) : NULL;
    if (copy)
        memcpy(copy, begin, length);
    walk->broken = walk->broken || (length > 0 && !copy);
    *extra = copy;
    return copy ? (int)length : 0;
}

static bool stands_there(struct walk *walk, uint8_t type, size_t least)
{
    if (!whole(walk) || walk->at[1] != type)
        return false;
    if (walk->at[0] < least)
        walk->broken = true;
    return walk->at[0] >= least;
}

static void take_endpoints(struct walk *walk, uint8_t most, struct libusb_interface_descriptor *interface)
{
    struct libusb_endpoint_descriptor *const endpoints = calloc(most + 1u, sizeof *endpoints);
    uint8_t count = 0;
    interface->endpoint = endpoints;
    walk->broken = walk->broken || !endpoints;
    for (; endpoints && count < most && stands_there(walk, LIBUSB_DT_ENDPOINT, 7); count++) {
        const uint8_t *const d = walk->at;
        endpoints[count] = (struct libusb_endpoint_descriptor){
            .bLength = d[0], .bDescriptorType = d[1], .bEndpointAddress = d[2], .bmAttributes = d[3],
            .wMaxPacketSize = (uint16_t)(d[4] | d[5] << 8), .bInterval = d[6],
        };
        step(walk);
        endpoints[count].extra_length = take_extra(walk, &endpoints[count].extra);
    }
    interface->bNumEndpoints = count;
}

static void take_setting(struct walk *walk, struct libusb_interface *interface)
{
    const uint8_t *const d = walk->at;
    struct libusb_interface_descriptor *const settings =
        realloc((void *)(uintptr_t)interface->altsetting, ((size_t)interface->num_altsetting + 1) * sizeof *settings);
    if (!settings) {
        walk->broken = true;
        return;
    }
    interface->altsetting = settings;
    struct libusb_interface_descriptor *const setting = &settings[interface->num_altsetting++];
    *setting = (struct libusb_interface_descriptor){
        .bLength = d[0], .bDescriptorType = d[1], .bInterfaceNumber = d[2], .bAlternateSetting = d[3],
        .bInterfaceClass = d[5], .bInterfaceSubClass = d[6], .bInterfaceProtocol = d[7], .iInterface = d[8],
    };
    walk->broken = d[4] > MOST;
    step(walk);
    setting->extra_length = take_extra(walk, &setting->extra);
    if (!walk->broken)
        take_endpoints(walk, d[4], setting);
}

/* All settings of one interface, which follow each other. */
static bool take_interface(struct walk *walk, struct libusb_interface *interface)
{
    const uint8_t *const first = walk->at;
    while (!walk->broken && stands_there(walk, LIBUSB_DT_INTERFACE, 9) && walk->at[2] == first[2])
        take_setting(walk, interface);
    return interface->num_altsetting > 0;
}

static void free_interface(const struct libusb_interface *interface)
{
    for (int i = 0; i < interface->num_altsetting; i++) {
        const struct libusb_interface_descriptor *const setting = &interface->altsetting[i];
        for (uint8_t e = 0; e < setting->bNumEndpoints; e++)
            free((void *)(uintptr_t)setting->endpoint[e].extra);
        free((void *)(uintptr_t)setting->endpoint);
        free((void *)(uintptr_t)setting->extra);
    }
    free((void *)(uintptr_t)interface->altsetting);
}

static void free_config(struct libusb_config_descriptor *config)
{
    for (uint8_t i = 0; i < config->bNumInterfaces; i++)
        free_interface(&config->interface[i]);
    free((void *)(uintptr_t)config->interface);
    free((void *)(uintptr_t)config->extra);
    free(config);
}

static void take_interfaces(struct walk *walk, struct libusb_config_descriptor *config)
{
    const uint8_t said = config->bNumInterfaces;
    struct libusb_interface *const interfaces = calloc(said + 1u, sizeof *interfaces);
    config->interface = interfaces;
    config->bNumInterfaces = 0;
    walk->broken = !interfaces;
    if (!interfaces)
        return;
    config->extra_length = take_extra(walk, &config->extra);
    bool more = true;
    while (!walk->broken && more && config->bNumInterfaces < said) {
        more = take_interface(walk, &interfaces[config->bNumInterfaces]);
        config->bNumInterfaces = (uint8_t)(config->bNumInterfaces + more);
    }
    if (stands_there(walk, LIBUSB_DT_ENDPOINT, 0) && config->bNumInterfaces < said)
        walk->broken = true; /* more endpoints than the interface has */
}

static int parse(const uint8_t *bytes, size_t length, struct libusb_config_descriptor **result)
{
    if (length < 9 || bytes[0] < 9 || bytes[0] > length || bytes[1] != LIBUSB_DT_CONFIG || bytes[4] > MOST ||
        (size_t)(bytes[2] | bytes[3] << 8) > length)
        return LIBUSB_ERROR_IO;
    struct walk walk = { .at = bytes + bytes[0], .left = length - bytes[0] };
    struct libusb_config_descriptor *const config = calloc(1, sizeof *config);
    if (!config)
        return LIBUSB_ERROR_NO_MEM;
    config->bLength = bytes[0];
    config->bDescriptorType = bytes[1];
    config->wTotalLength = (uint16_t)(bytes[2] | bytes[3] << 8);
    config->bNumInterfaces = bytes[4];
    config->bConfigurationValue = bytes[5];
    config->iConfiguration = bytes[6];
    config->bmAttributes = bytes[7];
    config->MaxPower = bytes[8];
    take_interfaces(&walk, config);
    if (walk.broken) {
        free_config(config);
        return LIBUSB_ERROR_IO;
    }
    libusb_count(1);
    *result = config;
    return 0;
}

static int read_config(libusb_device *device, struct libusb_config_descriptor **config)
{
    uint8_t bytes[DEVICE_CONFIGURATION_MAX];
    virtual_lock(device->slot);
    const size_t length = device_configuration(device->slot->device, bytes);
    virtual_unlock(device->slot);
    return parse(bytes, length, config);
}

int LIBUSB_CALL libusb_get_active_config_descriptor(libusb_device *device, struct libusb_config_descriptor **config)
{
    const int error = libusb_fault(__func__);
    if (error)
        return error;
    virtual_lock(device->slot);
    const bool configured = device->slot->device->configuration != 0;
    virtual_unlock(device->slot);
    return configured ? read_config(device, config) : LIBUSB_ERROR_NOT_FOUND;
}

int LIBUSB_CALL libusb_get_config_descriptor(libusb_device *device, uint8_t index,
                                             struct libusb_config_descriptor **config)
{
    const int error = libusb_fault(__func__);
    if (error)
        return error;
    return index == 0 ? read_config(device, config) : LIBUSB_ERROR_NOT_FOUND;
}

void LIBUSB_CALL libusb_free_config_descriptor(struct libusb_config_descriptor *config)
{
    if (!config)
        return;
    free_config(config);
    libusb_count(-1);
}

int LIBUSB_CALL libusb_get_device_descriptor(libusb_device *device, struct libusb_device_descriptor *descriptor)
{
    const int error = libusb_fault(__func__);
    const uint8_t *const d = device->slot->device->identity->device;
    if (error)
        return error;
    *descriptor = (struct libusb_device_descriptor){
        .bLength = d[0], .bDescriptorType = d[1], .bcdUSB = (uint16_t)(d[2] | d[3] << 8), .bDeviceClass = d[4],
        .bDeviceSubClass = d[5], .bDeviceProtocol = d[6], .bMaxPacketSize0 = d[7],
        .idVendor = (uint16_t)(d[8] | d[9] << 8), .idProduct = (uint16_t)(d[10] | d[11] << 8),
        .bcdDevice = (uint16_t)(d[12] | d[13] << 8), .iManufacturer = d[14], .iProduct = d[15],
        .iSerialNumber = d[16], .bNumConfigurations = d[17],
    };
    return 0;
}
