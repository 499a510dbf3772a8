/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hostile_device.h - a virtual device that a script of bytes makes say anything, at any time.
 *
 * The script chooses the model whose descriptors are shown, spoils them, and then holds one action after another: what
 * comes of the next message of the host. When it has ended the device and its card are honest. Its language is in
 * hostile_device.c; every string of bytes is a script.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "device.h"
#include "usb_virtual.h"

struct hostile;

/* The script must live as long as the device. */
struct hostile *hostile_new(const uint8_t *script, size_t length);
void hostile_free(struct hostile *hostile);

struct device *hostile_device(struct hostile *hostile);
/* Where it is plugged in, so that it can be unplugged by its script. */
void hostile_place(struct hostile *hostile, struct virtual_slot *slot);

/* A byte of the script for whoever needs chance. */
uint8_t hostile_chance(const struct hostile *hostile);
/* pcscd's name of it; by the node or, if the script says so, without. */
void hostile_name(const struct hostile *hostile, const char *node, char name[128]);

/* Nothing is left of the script, nor of what it began. */
bool hostile_over(const struct hostile *hostile);
/* It shows the descriptors of the model. */
bool hostile_has_right_descriptors(const struct hostile *hostile);
/* Ends the script; from the next time it is plugged in it is a right device of the model. */
void hostile_reform(struct hostile *hostile);
