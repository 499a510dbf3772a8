/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* text.c - text that comes from devices and files, made fit for a terminal, for JSON and for comparison. */
#include "text.h"
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void text_clean(char *to, size_t size, const char *from)
{
    size_t i = 0;
    for (; from[i] && i + 1 < size; i++)
        to[i] = (char)(from[i] < ' ' || from[i] > '~' ? '?' : from[i]);
    to[i] = '\0';
}

long text_read_file(const char *path, char *text, size_t size)
{
    size_t length = 0;
    ssize_t part = 0;
    const int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        return -1;
    while (length + 1 < size && (part = read(file, text + length, size - 1 - length)) > 0)
        length += (size_t)part;
    close(file);
    text[length] = '\0';
    return part < 0 ? -1 : (long)length;
}

bool text_read_line(const char *path, char *line, size_t size)
{
    char text[512];
    line[0] = '\0';
    if (text_read_file(path, text, sizeof text) < 0)
        return false;
    text[strcspn(text, "\n")] = '\0';
    for (size_t end = strlen(text); end > 0 && text[end - 1] == ' '; end--)
        text[end - 1] = '\0';
    text_clean(line, size, text);
    return line[0] != '\0';
}

void text_json(FILE *stream, const char *text)
{
    putc('"', stream);
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            fprintf(stream, "\\%c", *text);
        else if ((unsigned char)*text < ' ')
            fprintf(stream, "\\u%04x", (unsigned)*text);
        else
            putc(*text, stream);
    putc('"', stream);
}

void text_unescape(char *text)
{
    char *to = text;
    for (; *text; text++)
        if (*text == '%' && isxdigit((unsigned char)text[1]) && isxdigit((unsigned char)text[2])) {
            const char digits[] = { text[1], text[2], '\0' };
            *to++ = (char)strtoul(digits, NULL, 16);
            text += 2;
        } else {
            *to++ = *text;
        }
    *to = '\0';
}
