/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_rsa_generate.c - an RSA key made as a card makes it, by libcrypto. */
#include "card_rsa.h"
#include <openssl/rsa.h>

EVP_PKEY *card_rsa_generate(unsigned bits, int (*go_on)(EVP_PKEY_CTX *ctx), void *context)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (!ctx)
        return NULL;
    EVP_PKEY_CTX_set_app_data(ctx, context);
    EVP_PKEY_CTX_set_cb(ctx, go_on);
    if (EVP_PKEY_keygen_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)bits) > 0)
        EVP_PKEY_generate(ctx, &key);
    EVP_PKEY_CTX_free(ctx);
    return key;
}
