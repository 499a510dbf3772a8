/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bus_proxy.h - a second way to the virtual key, on which the stream of USB/IP can be hurt. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum bus_proxy_mode {
    PROXY_ONE_BY_ONE, /* the server's bytes come singly */
    PROXY_HOLD,       /* they do not come until the mode changes */
    PROXY_CUT,        /* both ends are closed */
};

struct bus_proxy {
    char node[64]; /* of device 99 on the bus */
    char socket[128];
    int listener, client, server;
    _Atomic enum bus_proxy_mode mode;
    pthread_t thread;
};

/* Makes a node that is served through the proxy, for one client. false: nothing is left behind. */
bool bus_proxy_start(struct bus_proxy *proxy, enum bus_proxy_mode mode);

/* Cuts the connection and removes the node. */
void bus_proxy_stop(struct bus_proxy *proxy);
