# SPDX-License-Identifier: LGPL-2.1-or-later
# guard.sh - refuses to go on anywhere but in the virtual machine of "run". To be sourced before anything else.
#
# Scenarios purge packages, replace apt's sources and power the machine off. The parameter is given to the kernel by "run";
# the file is made by init, when whatever is written goes to a layer that is thrown away.

if ! grep -qw ifd_nitrokey.vm=1 /proc/cmdline || [ ! -e /run/layer/is-thrown-away ]; then
    echo "$(basename "$0"): refused, since it would change this computer. It is for the virtual machine of tests/vm/run" >&2
    exit 2
fi
