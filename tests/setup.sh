# SPDX-License-Identifier: LGPL-2.1-or-later
# setup.sh - what tests/demo and tests/run have in common: packages and builds. To be sourced by bash.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${BUILD:-$top/build-tests} # not README's, which may be root's, and has no tests
[[ $build == /* ]] || build=$PWD/$build
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # on Debian an ordinary user's has only the others

build_packages=(meson ninja-build gcc libc6-dev pkg-config python3 git ca-certificates zlib1g-dev
    libusb-1.0-0-dev libpcsclite-dev libssl-dev libcmocka-dev)
bus_packages=(pcscd libccid gnupg scdaemon opensc openssl procps util-linux)
page_packages=(mandoc appstream)
client_packages=(pcsc-tools python3-pyscard yubico-piv-tool gpgsm libengine-pkcs11-openssl openssh-client dropbear-bin
    iproute2)
check_packages=("${client_packages[@]}" busybox-static clang libclang-rt-dev libseccomp-dev python3-yaml sudo systemd tshark
    udev valgrind xz-utils)

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "$(basename "$0"): $*"
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# install_packages PACKAGE...: by apt, only what is not there yet. Nobody is asked, but by sudo.
install_packages() {
    local package lock missing=()
    exec {lock}<"$top"
    flock "$lock" # two may be started at once
    command -v dpkg-query >/dev/null || die "this needs Debian's packages: $*"
    for package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    if [ ${#missing[@]} != 0 ]; then
        [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || die "there is no sudo. As root, type
    apt-get update && apt-get install --no-install-recommends ${missing[*]}
then start this again."
        say "installing by apt: ${missing[*]}"
        as_root env DEBIAN_FRONTEND=noninteractive sh -c \
            'apt-get -qq update && apt-get -qq install --no-install-recommends -y "$@" >/dev/null' sh "${missing[@]}" ||
            die "apt could not install ${missing[*]}"
    fi
    exec {lock}<&-
}

# add_up LOG: adds what its last line says, "N passed, N failed, N skipped", to passed, failed and skipped. Fails if that
# is no such line, or if there are failures.
add_up() {
    local last p f s
    last=$(tail -n 1 "$1" 2>/dev/null)
    [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]] || return 2
    p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]} s=${BASH_REMATCH[3]}
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    [ "$f" = 0 ]
}

# configure DIRECTORY [MESON-OPTION...]: options that it had before stay, such as --werror.
configure() {
    local directory=$1 again=()
    shift
    [ ! -e "$directory/build.ninja" ] || again=(--reconfigure)
    meson setup "$directory" "$top" "${again[@]}" "$@" >"$directory.log" 2>&1
}

# build_in DIRECTORY [MESON-OPTION...]: configures and builds.
build_in() {
    local directory=$1 lock
    { exec {lock}>"$directory.lock"; } 2>/dev/null ||
        die "no permission to write to $directory: remove $directory*, or name another directory in BUILD"
    flock "$lock" # two may be started at once
    if ! configure "$@" || ! ninja -C "$directory" >>"$directory.log" 2>&1; then
        tail -n 40 "$directory.log" >&2
        die "the build in $directory failed; all of it is in $directory.log"
    fi
    exec {lock}>&-
}
