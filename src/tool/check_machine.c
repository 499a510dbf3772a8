/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_machine.c - doctor: in a virtual machine, how the computer that it runs on passes the key through to it. */
#include <stdio.h>
#include <string.h>
#include "doctor.h"
#include "text.h"

#define CLOUD                                                                                                  \
    "this is a virtual machine in a cloud, which no key can be plugged into: leave the key in your own "       \
    "computer, and forward the socket of its gpg-agent or ssh-agent"

/* A line to type is one that a scenario in tests/vm types. What only its maker's manual says is said in words. */
static const struct {
    const char *maker; /* what the firmware says, maker and product, begins so */
    const char *says, *type;
} WAYS[] = {
    { "QEMU",
      "this is a virtual machine of QEMU: the computer it runs on must pass the key through to it. First, there, what "
      "has the key must let it go. This ends pcscd:",
      STOP_PCSCD },
    { "QEMU",
      "then, there, with libvirt: this, with the machine's name and with the key's ID as lsusb shows it (in "
      "virt-manager: Add Hardware, USB Host Device; in Proxmox: Hardware, Add, USB Device)",
      "echo \"<hostdev mode='subsystem' type='usb'><source><vendor id='0xVENDOR'/><product id='0xPRODUCT'/></source>"
      "</hostdev>\" | sudo virsh attach-device NAME-OF-THE-MACHINE /dev/stdin" },
    { "QEMU", "or, without libvirt, this in QEMU's monitor",
      "device_add usb-host,id=nitrokey,vendorid=0xVENDOR,productid=0xPRODUCT" },
    { "innotek",
      "this is a virtual machine of VirtualBox: pass the key through to it by the menu of its window: Devices, USB. On "
      "Linux you must be in the group vboxusers for that",
      NULL },
    { "VMware",
      "this is a virtual machine of VMware: pass the key through to it by its menu: Removable Devices, the key, "
      "Connect",
      NULL },
    { "Microsoft Corporation Virtual Machine",
      "this is a virtual machine of Hyper-V, which passes no USB device through. The key can come by USB/IP: share it "
      "by usbipd-win on the computer that it is plugged into, and attach it here by usbip",
      NULL },
    { "Xen",
      "this is a virtual machine of Xen: pass the key through to it in its dom0, by usbdev-attach of xl(1)", NULL },
    { "Amazon EC2", CLOUD, NULL },
    { "Google Google Compute Engine", CLOUD, NULL },
};

static bool tell_of_wsl(struct report *report)
{
    char release[64];
    const bool is_wsl =
        text_read_line("/proc/sys/kernel/osrelease", release, sizeof release) && strstr(release, "microsoft");
    if (is_wsl)
        tell(report, UNSEEN, "virtual-machine", NULL,
             "this is WSL: pass the key through to it by usbipd-win. In Windows, as administrator: \"usbipd list\" and "
             "\"usbipd bind --busid BUSID\"; then \"usbipd attach --wsl --busid BUSID\"");
    return is_wsl;
}

static bool has_hypervisor(void)
{
    char info[8192];
    return text_read_file("/proc/cpuinfo", info, sizeof info) > 0 && strstr(info, " hypervisor");
}

void check_machine(const struct scene *scene, struct report *report)
{
    char maker[64], product[64], machine[sizeof maker + sizeof product];
    bool told = false;
    if (scene->key_count + scene->other_count > 0 || tell_of_wsl(report))
        return;
    (void)text_read_line("/sys/class/dmi/id/sys_vendor", maker, sizeof maker);
    (void)text_read_line("/sys/class/dmi/id/product_name", product, sizeof product);
    snprintf(machine, sizeof machine, "%s %s", maker, product);
    for (size_t i = 0; i < sizeof WAYS / sizeof WAYS[0]; i++)
        if (strncmp(machine, WAYS[i].maker, strlen(WAYS[i].maker)) == 0) {
            tell(report, UNSEEN, "virtual-machine", WAYS[i].type, "%s", WAYS[i].says);
            told = true;
        }
    if (!told && has_hypervisor())
        tell(report, UNSEEN, "virtual-machine", NULL,
             "this is a virtual machine: the computer it runs on must pass the key through to it");
}
