/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plist.c - a driver bundle's Info.plist, read as pcscd reads it: by lines, each a key or a string, and not as XML. */
#include "plist.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What stands between OPEN and CLOSE in a line. */
static bool between(const char *line, const char *open, const char *close, char *text, size_t size)
{
    const char *const begin = strstr(line, open);
    const char *const end = begin ? strstr(begin, close) : NULL;
    if (!end)
        return false;
    snprintf(text, size, "%.*s", (int)(end - begin - (long)strlen(open)), begin + strlen(open));
    return true;
}

static void add_id(uint16_t ids[PLIST_IDS_MAX], size_t *count, const char *text)
{
    if (*count < PLIST_IDS_MAX)
        ids[*count] = (uint16_t)strtoul(text, NULL, 16);
    (*count)++;
}

static void add(struct plist *plist, const char *key, const char *text)
{
    if (strcmp(key, "ifdVendorID") == 0)
        add_id(plist->vendor_ids, &plist->vendors, text);
    else if (strcmp(key, "ifdProductID") == 0)
        add_id(plist->product_ids, &plist->products, text);
    else if (strcmp(key, "ifdFriendlyName") == 0)
        plist->names++;
    else if (strcmp(key, "CFBundleExecutable") == 0)
        snprintf(plist->executable, sizeof plist->executable, "%s", text);
    else if (strcmp(key, "CFBundleName") == 0)
        plist->is_class_driver = strcmp(text, "CCIDCLASSDRIVER") == 0;
}

bool plist_read(const char *path, struct plist *plist)
{
    char line[1024], key[64] = "", text[256];
    FILE *const file = fopen(path, "re");
    *plist = (struct plist){ .vendors = 0 };
    if (!file)
        return false;
    while (fgets(line, sizeof line, file)) {
        (void)between(line, "<key>", "</key>", key, sizeof key);
        if (between(line, "<string>", "</string>", text, sizeof text))
            add(plist, key, text);
    }
    fclose(file);
    return true;
}

bool plist_names(const struct plist *plist, uint16_t vendor_id, uint16_t product_id)
{
    for (size_t i = 0; i < plist->vendors && i < plist->products && i < PLIST_IDS_MAX; i++)
        if (plist->vendor_ids[i] == vendor_id && plist->product_ids[i] == product_id)
            return true;
    return false;
}
