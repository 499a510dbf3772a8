#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# figures.sh DRIVER PART - figures of ifd-nitrokey or libccid on a test bus of its own. PART is "idle" (what happens in 60 s
# in which nobody uses the key) or "busy" (all else). Prints lines FIGURE VALUE; what they mean is in report.py.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/../pcscd/story.sh"
driver=$1 part=$2
case $driver in ifd-nitrokey) bundle=ifd-nitrokey.bundle ;; libccid) bundle=ifd-ccid.bundle ;; *) exit 2 ;; esac
client=$(built pcsc_bench) host=$(built driver_bench)
exec 3>&1 >"$work/story" 2>&1

figure() {
    echo "$1 $2" >&3
}

# transfers NAME [KIND...]: submitted to the key so far; kinds are control, out, in, interrupt (all).
transfers() {
    local key=$1
    shift
    tell "$key" stats | tr ' ' '\n' | awk -F = -v kinds="${*:-control out in interrupt}" '
        BEGIN { split(kinds, list, " "); for (i in list) wanted[list[i]] = 1 }
        $1 in wanted { n += $2 } END { print n + 0 }'
}

# each BEFORE AFTER TIMES: the difference, for one of them.
each() {
    awk -v a="$1" -v b="$2" -v n="$3" 'BEGIN { print (b - a) / n }'
}

# fresh MODEL [OPTION...]: a key of this model in the first port, which answers at once.
fresh() {
    model=$1
    shift
    start_key key --command 0 "$@"
}

# alone COUNT APDU...: the driver without pcscd; prints what driver_bench prints.
alone() {
    local node
    node=$(echo /dev/bus/usb/001/*[1-9] | tr ' ' '\n' | tail -n 1)
    LD_PRELOAD=$usbfs_shim "${wrapper[@]}" "$host" "$library" "usb:$ids:libudev:$interface:$node" "$@"
}

value_of() {
    awk -v name="$1" '$1 == name { print $2 }'
}

use_drivers "$bundle"
library=$(find "$drivers/$bundle" -name '*.so')
wrapper=()

# ---- idle ----

wake_ups() {
    cat /proc/"$pcscd_pid"/task/*/status | awk '/ctxt_switches/ { n += $2 } END { print n }'
}

# idle MODEL: 60 s after everything has become quiet.
idle() {
    local before woken
    fresh "$1" && start_pcscd && wait_until 20 cards_present 1 && wait_until 20 logged POWER_STATE_UNPOWERED || return
    before=$(transfers key) woken=$(wake_ups)
    sleep 60
    figure "idle_transfers_$1" $(($(transfers key) - before))
    figure "idle_wake_ups_$1" $(($(wake_ups) - woken))
    figure "idle_pending_$1" "$(tell key stats | sed 's/.*pending=//')"
    end_pcscd KILL
    stop_key key
    : >"$work/pcscd.log"
}

if [ "$part" = idle ]; then
    idle nitrokey-3
    idle nitrokey-pro-2
    exit
fi

# ---- a driver alone ----

big=$(printf '00DA7F21000800%04096d' 0)
fresh nitrokey-3
ids=20a0/42b2 interface=0
before=$(transfers key)
first=$(alone 0 "$select" "$get_aid")
figure open_ms "$(value_of open_ms <<<"$first")"
figure open_transfers $(($(transfers key) - before - 4)) # but for those of the two APDUs
before=$(transfers key out in)
alone 0 "$select" "$get_aid"
without=$(($(transfers key out in) - before))
lines=$(alone 1000 "$select" "$get_aid")
figure apdu_transfers "$(each $((before + 2 * without)) "$(transfers key out in)" 1000)"
figure allocations "$(value_of allocations <<<"$lines")"

# count_instructions COUNT: of this driver's own code, and of libusb's in its calls.
count_instructions() {
    local out=$work/callgrind.$1
    wrapper=(valgrind --tool=callgrind --collect-atstart=no --toggle-collect=IFDHTransmitToICC "--callgrind-out-file=$out")
    alone "$1" "$select" "$get_aid" >/dev/null
    wrapper=()
    callgrind_annotate --threshold=100 "$out" | tr -d ',' | sed -E 's/\([ 0-9.]*%\)//' | awk -v library="$library" '
        index($0, "[" library "]") { own += $1 } /\[.*libusb-1.0.so[^]]*\]/ { libusb += $1 } END { print own, libusb }'
}

read -r own_few libusb_few < <(count_instructions 100)
read -r own_many libusb_many < <(count_instructions 1100)
figure instructions "$(each "$own_few" "$own_many" 1000)"
figure instructions_libusb "$(each "$libusb_few" "$libusb_many" 1000)"
stop_key key

fresh nitrokey-pro-2 --line-rate 116129 --application openpgp-card-2.1 # which takes an object of 2048 bytes
ids=20a0/4108 interface=1
read_it=00CA7F21000000
figure open_beyond_ms "$(alone 0 "$select" "$verify_admin" "$big" | awk '$1 == "open_ms" { print $2 - 600 }')"
before=$(transfers key out)
alone 0 "$select" "$read_it"
once=$(transfers key out)
lines=$(alone 1 "$select" "$read_it")
figure t1_blocks $(($(transfers key out) - once - (once - before)))
figure t1_seconds "$(value_of apdu_ms <<<"$lines" | awk '{ print $1 / 1000 }')"
stop_key key

# ---- with pcscd ----

memory() {
    awk '/^Pss:/ { print $2 }' "/proc/$pcscd_pid/smaps_rollup"
}

start_pcscd
memory_before=$(memory)
fresh nitrokey-3
wait_until 20 cards_present 1
figure pcscd_memory_kb $(($(memory) - memory_before))
strip -o "$work/stripped.so" "$library"
figure so_bytes "$(stat -c %s "$work/stripped.so")"
read -r p50 p99 < <("$client" latency 2000 "$select" "$get_aid")
figure latency_p50_us "$p50"
figure latency_p99_us "$p99"
stop_key key
end_pcscd KILL

model=nitrokey-pro-2
keys=()
start_key key1 --command 0
start_pcscd && wait_until 20 cards_present 1
figure rate_1 "$("$client" rate 3 "$get_aid")"
for n in {2..16}; do
    start_key "key$n" --command 0 --serial "$(printf '%08X' "$n")"
done
wait_until 60 cards_present 16
figure rate_16 "$("$client" rate 3 "$get_aid")"
for n in {1..16}; do
    stop_key "key$n"
done
end_pcscd KILL

fresh nitrokey-3 --generate 60
start_pcscd && wait_until 20 cards_present 1
figure unplug_ms "$("$client" unplug "$work/key/control" "$select" "$verify_admin" "$generate")"
end_pcscd KILL
