/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* piv_state.h - the memory of a PIV application in a file, see state_file.h. */
#pragma once
#include <stdbool.h>
#include "piv_memory.h"

/* Reads the file into a formatted memory; as state_file_load(). */
bool piv_state_load(const char *path, struct piv_memory *memory);
bool piv_state_save(const char *path, struct piv_memory *memory);
