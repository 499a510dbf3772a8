#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# pyscard_client.py - a program by Debian's python3-pyscard, which is a module of the distribution's own Python.
"""Usage: pyscard_client.py properties|apdus|transactions|monitor

On the first reader, whose card is an OpenPGP card. "monitor" says "ready" when it has seen the card, then waits until
that has gone and come again. Exit status: 0 all was as it must be.
"""
import sys
import threading

from smartcard.CardMonitoring import CardMonitor, CardObserver
from smartcard.ExclusiveTransmitCardConnection import ExclusiveTransmitCardConnection
from smartcard.System import readers
from smartcard import scard

SELECT = [0x00, 0xA4, 0x04, 0x00, 0x06, 0xD2, 0x76, 0x00, 0x01, 0x24, 0x01]
GET_NAME = [0x00, 0xCA, 0x00, 0x4F, 0x00]
GET_FEATURE_REQUEST = scard.SCARD_CTL_CODE(3400)
GET_TLV_PROPERTIES = 0x12
EVENT_S = 30


def must(condition, what):
    if not condition:
        sys.exit(f"it is not so that {what}")


def served(connection):
    data, sw1, sw2 = connection.transmit(SELECT)
    must((data, sw1, sw2) == ([], 0x90, 0x00), "SELECT is answered 9000")
    data, sw1, sw2 = connection.transmit(GET_NAME)
    must((sw1, sw2) == (0x90, 0x00) and data[:6] == SELECT[5:], "the name is answered by the name")


def tlv(data):
    found = {}
    while data:
        tag, length, *data = data
        found[tag], data = bytes(data[:length]), data[length:]
    return found


def properties(reader):
    """PC/SC part 10: what OpenSC and scdaemon read, too."""
    connection = reader.createConnection()
    connection.connect()
    features = tlv(connection.control(GET_FEATURE_REQUEST, []))
    must(list(features) == [GET_TLV_PROPERTIES], "there are TLV properties, and no other feature")
    found = tlv(connection.control(int.from_bytes(features[GET_TLV_PROPERTIES], "big"), []))
    must(int.from_bytes(found[0x0A], "little") == 0x10000, "APDUs may have any length")
    must(int.from_bytes(found[0x0B], "little") == 0x20A0, "it is Nitrokey's")
    must(int.from_bytes(found[0x0C], "little") == 0x4108, "it is a Nitrokey Pro")
    must(bytes(connection.getATR()) == bytes(connection.component.getAttrib(scard.SCARD_ATTR_ATR_STRING)),
         "the attribute is the ATR")
    connection.disconnect()


def apdus(reader):
    connection = reader.createConnection()
    connection.connect(scard.SCARD_PROTOCOL_T1)
    served(connection)
    extended, sw1, sw2 = connection.transmit([0x00, 0xCA, 0x00, 0x6E, 0x00, 0x00, 0x00])
    must((sw1, sw2) == (0x90, 0x00) and len(extended) > 200, "an extended APDU is answered")
    connection.disconnect()
    connection.connect(scard.SCARD_PROTOCOL_T1, mode=scard.SCARD_SHARE_EXCLUSIVE, disposition=scard.SCARD_RESET_CARD)
    served(connection)
    connection.disconnect()


def transactions(reader):
    """Ten of them at once, each with its own connection."""
    failures = []

    def be_a_program():
        try:
            connection = ExclusiveTransmitCardConnection(reader.createConnection())
            connection.connect(disposition=scard.SCARD_LEAVE_CARD)  # to unpower it would disturb the others
            for _ in range(3):
                connection.lock()
                served(connection)
                connection.unlock()
            connection.disconnect()
        except (Exception, SystemExit) as why:
            failures.append(why)

    programs = [threading.Thread(target=be_a_program) for _ in range(10)]
    for program in programs:
        program.start()
    for program in programs:
        program.join()
    must(not failures, f"all were served: {failures}")


class Observer(CardObserver):
    def __init__(self):
        super().__init__()
        self.came, self.went = threading.Event(), threading.Event()

    def update(self, observable, handlers):
        added, removed = handlers
        (self.came.set() if added else None), (self.went.set() if removed else None)


def monitor(reader):
    observer = Observer()
    CardMonitor().addObserver(observer)
    must(observer.came.wait(EVENT_S), "the card is seen")
    observer.came.clear(), observer.went.clear()
    print("ready", flush=True)
    must(observer.went.wait(EVENT_S), "it is seen to go")
    must(observer.came.wait(EVENT_S), "it is seen to come again")
    connection = readers()[0].createConnection()
    connection.connect()
    served(connection)
    connection.disconnect()
    CardMonitor().deleteObserver(observer)


if __name__ == "__main__":
    stories = {story.__name__: story for story in (properties, apdus, transactions, monitor)}
    if len(sys.argv) != 2 or sys.argv[1] not in stories:
        sys.exit(__doc__)
    stories[sys.argv[1]](readers()[0])
