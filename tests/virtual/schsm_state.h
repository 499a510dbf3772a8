/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* schsm_state.h - the memory of a SmartCard-HSM in a file, see state_file.h. */
#pragma once
#include <stdbool.h>
#include "schsm_memory.h"

/* Reads the file into a formatted memory; as state_file_load(). */
bool schsm_state_load(const char *path, struct schsm_memory *memory);
bool schsm_state_save(const char *path, struct schsm_memory *memory);
