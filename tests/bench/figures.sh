#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# figures.sh DRIVER PART - figures of ifd-nitrokey or libccid on a test bus of its own. PART is "idle" (what happens in 60 s
# in which nobody uses the key) or "busy" (all else). Prints lines FIGURE VALUE; what they mean is in report.py.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/../pcscd/story.sh"
. "$here/../bench/measure.sh"
case $1 in ifd-nitrokey) take_driver ifd-nitrokey.bundle ;; libccid) take_driver ifd-ccid.bundle ;; *) exit 2 ;; esac
part=$2 client=$(built pcsc_bench)
exec 3>&1 >"$work/story" 2>&1

figure() {
    echo "$1 $2" >&3
}

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
    figure "idle_pending_$1" "$(pending key)"
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

# instructions COUNT: in all calls of IFDHTransmitToICC, by the driver itself and with all that it calls, without the bus.
instructions() {
    local out=$work/callgrind.$1
    wrapper=(valgrind --tool=callgrind --collect-atstart=no --toggle-collect=IFDHTransmitToICC "--callgrind-out-file=$out")
    alone "$1" "$select" "$get_aid" >/dev/null
    wrapper=()
    callgrind_annotate --threshold=100 --inclusive=no "$out" | tr -d ',' | sed -E 's/\([ 0-9.]*%\)//' | awk -v library="$library" '
        index($0, "[" library "]") { own += $1 } / \[\// && !/usbfs_shim/ { all += $1 } END { print own, all }'
}

fresh nitrokey-3
before=$(transfers key)
alone 0 "$select" "$get_aid" >"$work/alone"
figure open_ms "$(value_of open_ms <"$work/alone")"
figure open_transfers $(($(transfers key) - before - 4)) # but for those of the two APDUs
figure apdu_transfers "$(transfers_of_an_apdu)"
figure allocations "$(value_of allocations <"$work/alone")"
read -r own_few all_few < <(instructions 100)
read -r own_many all_many < <(instructions 1100)
figure instructions "$(each "$own_few" "$own_many" 1000)"
figure instructions_all "$(each "$all_few" "$all_many" 1000)"
stop_key key

# The key's own time: 600 ms for the card's reset, and for each block 10 ms and ten bytes of 11 bits on the line.
fresh nitrokey-pro-2 --line-rate 116129 "${big_card[@]}"
before=$(blocks key)
alone 0 "$select" >"$work/alone"
figure open_beyond_ms "$(awk -v blocks=$(($(blocks key) - before - 1)) \
    '$1 == "open_ms" { print $2 - 600 - blocks * 10.95 }' "$work/alone")"
put_big_object
figure t1_blocks "$(read_big_object)"
figure t1_seconds "$(value_of apdu_ms <"$work/alone" | awk '{ print $1 / 1000 }')"
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
