/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verbs.h - what ifd-nitrokey can do: one function a verb. */
#pragma once

/* argv[0] is the verb. Returns the exit status: 0 well, 1 something is wrong, 2 wrong usage. */
int describe(int argc, char *argv[]);
int doctor(int argc, char *argv[]);
int list(int argc, char *argv[]);
int watch(int argc, char *argv[]);
int trace(int argc, char *argv[]);
