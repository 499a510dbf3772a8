# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154
# measure.sh - what is counted on the test bus, and how. To be sourced by bash after on_bus and story.sh.

bench_host=$(built driver_bench)

# transfers NAME [KIND...]: submitted to the key so far; kinds are control, out, in, interrupt (all).
transfers() {
    local name=$1
    shift
    tell "$name" stats | tr ' ' '\n' | awk -F = -v kinds="${*:-control out in interrupt}" '
        BEGIN { split(kinds, list, " "); for (i in list) wanted[list[i]] = 1 }
        $1 in wanted { n += $2 } END { print n + 0 }'
}

# pending NAME: transfers that have not ended.
pending() {
    tell "$1" stats | sed 's/.*pending=//'
}

# blocks NAME: that its card has heard so far.
blocks() {
    tell "$1" blocks | sed 's/^ok //'
}

# each BEFORE AFTER TIMES: the difference, for one of them.
each() {
    awk -v a="$1" -v b="$2" -v n="$3" 'BEGIN { print (b - a) / n }'
}

# value_of NAME: in lines NAME VALUE.
value_of() {
    awk -v name="$1" '$1 == name { print $2 }'
}

# take_driver BUNDLE: what alone uses.
take_driver() {
    use_drivers "$1" && library=$(find "$drivers/$1" -name '*.so')
}

# fresh MODEL [OPTION...]: the key named "key", whose card answers at once.
fresh() {
    model=$1
    shift
    start_key key --command 0 "$@" || return
    case $model in
    nitrokey-3) device_name=usb:20a0/42b2:libudev:0 ;;
    nitrokey-pro-2) device_name=usb:20a0/4108:libudev:1 ;;
    esac
    device_name=$device_name:$(echo /dev/bus/usb/001/* | tr ' ' '\n' | tail -n 1)
}

# alone COUNT APDU...: the driver without pcscd; prints what driver_bench prints. In wrapper: a program around it.
wrapper=()
alone() {
    LD_PRELOAD=$usbfs_shim ${wrapper[@]+"${wrapper[@]}"} "$bench_host" "$library" "$device_name" "$@"
}

# transfers_of_an_apdu: a short one, at APDU level, without what comes before the first one.
transfers_of_an_apdu() {
    local start few many
    start=$(transfers key out in)
    alone 0 "$select" "$get_aid" >/dev/null || return
    few=$(transfers key out in)
    alone 100 "$select" "$get_aid" >"$work/alone" || return
    many=$(transfers key out in)
    each $((few - start)) $((many - few)) 100
}

# put_big_object: one of 2048 bytes, into a card of version 2.1, whose certificate may be so long.
big_card=(--application openpgp-card-2.1)
get_big_object=00CA7F21000000
put_big_object() {
    alone 0 "$select" "$verify_admin" "$(printf '00DA7F21000800%04096d' 0)"
}

# read_big_object: how many T=1 blocks are sent for it; $work/alone has its time.
read_big_object() {
    local start few many
    start=$(blocks key)
    alone 0 "$select" "$get_big_object" >/dev/null || return
    few=$(blocks key)
    alone 1 "$select" "$get_big_object" >"$work/alone" && grep -qx 'answer 2050' "$work/alone" || return
    many=$(blocks key)
    echo $((many - few - (few - start)))
}
