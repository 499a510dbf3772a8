/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clients.h - programs that use the OpenPGP card in the key, and judge what they are told by what the key has done.
 *
 * A step does what such a program has to do first: it connects, selects the application, verifies the PIN that it needs,
 * and after an error or a reset begins anew.
 */
#pragma once
#include "sequence.h"

/* The card as the clients expect it: a key, a certificate, a login. */
void clients_prepare(void);

void clients_step(const struct step *step);

/* pcscd is gone, which they are told. */
void clients_lose_pcscd(void);

/* What must hold at any time. */
void clients_judge(void);

/* One that has not been there before connects, and reads all there is. true: it is served rightly. */
bool clients_are_served(void);
