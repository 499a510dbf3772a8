/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rules.h - the rule files of udev, as far as doctor's checks need them. */
#pragma once
#include <stdbool.h>
#include "doctor.h"

#define RULES_FILE "70-ifd-nitrokey.rules"
#define RULES_FOR_GROUP "/etc/udev/rules.d/71-ifd-nitrokey-group.rules"

/* The line that makes udev read its rules again and apply them to this key. */
void rules_apply_line(const struct key *key, char line[LINE_MAX_TO_TYPE]);

/* Whether the rule files of this driver, as udev finds them, give keys to this group. */
bool rules_name_group(const char *group);
