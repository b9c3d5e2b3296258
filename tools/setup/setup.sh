#!/usr/bin/env bash
# setup.sh build|test|bench: installs what that use of the tree needs on Debian 12, and nothing when it is there.
#
# What each level installs is listed beside this file: apt.txt (packages), requirements.txt (wheels, into .venv),
# *.pom.xml (jars, into .cache/jars). A stamp in .cache/setup holds a hash of those lists and of the machine's id:
# while it is unchanged a call costs a few milliseconds. test includes build, bench includes test.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
setup=$root/tools/setup
level=${1:?usage: setup.sh build|test|bench}
stamps=$root/.cache/setup

say() { printf 'set-up: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

stamp_of() {
    local machine=(/etc/machine-id /etc/hostname)
    { cat "$setup"/setup.sh "$setup"/*.txt "$setup"/*.xml "${machine[@]}" 2>/dev/null || true; } | sha256sum
}

apt_packages() { # LEVEL...: the names in those parts of apt.txt
    local level
    for level in "$@"; do
        awk -v want="[$level]" '/^\[/ { on = ($1 == want); next }
            on { sub(/#.*/, ""); if (NF) print $1 }' "$setup/apt.txt"
    done
}

install_apt() {
    local missing=() name as_root=()
    for name in $(apt_packages "$@"); do
        dpkg-query -W -f='${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed || missing+=("$name")
    done
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null || die "this is not Debian: please install by hand: ${missing[*]}"
    if ((EUID != 0)); then
        command -v sudo >/dev/null ||
            die "packages are missing and only root can install them. Run as root: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    say "apt installs: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    # A package list that is old or absent finds no package; a dpkg run that was cut off is completed by "-f install".
    "${as_root[@]}" apt-get -qq update || say "apt-get update failed; trying with the lists at hand"
    "${as_root[@]}" apt-get -qq -y --no-install-recommends install "${missing[@]}" >/dev/null ||
        { "${as_root[@]}" apt-get -qq -y -f install >/dev/null &&
            "${as_root[@]}" apt-get -qq -y --no-install-recommends install "${missing[@]}" >/dev/null; } ||
        die "apt-get could not install: ${missing[*]}"
}

install_wheels() {
    local python=python3
    [ -x /usr/bin/python3 ] && python=/usr/bin/python3
    [ -x "$root/.venv/bin/pip" ] || "$python" -m venv "$root/.venv"
    "$root/.venv/bin/pip" install -q --disable-pip-version-check -r "$setup/requirements.txt" ||
        die "pip could not install the wheels of tools/setup/requirements.txt"
    local minor=0
    command -v go >/dev/null && minor=$(go version | sed -E 's/.*go1\.([0-9]+).*/\1/')
    ((minor >= 26)) || "$root/.venv/bin/pip" install -q -r "$setup/go-requirement.txt" ||
        die "pip could not install the Go toolchain of tools/setup/go-requirement.txt"
}

install_jars() { # NAME...: NAME.pom.xml's dependencies into .cache/jars/NAME
    local name target
    for name in "$@"; do
        target=$root/.cache/jars/$name
        cmp -s "$setup/$name.pom.xml" "$target/pom.xml" && continue
        rm -rf "$target" && mkdir -p "$target"
        say "Maven fetches the jars of $name"
        mvn -q -B -Dstyle.color=never -f "$setup/$name.pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
            "-DoutputDirectory=$target" >&2 || die "Maven could not fetch the jars of tools/setup/$name.pom.xml"
        cp "$setup/$name.pom.xml" "$target/pom.xml"
    done
}

stamp=$(stamp_of)
[ "$(cat "$stamps/$level" 2>/dev/null)" = "$stamp" ] && exit 0
mkdir -p "$stamps"
case $level in
build)
    install_apt build
    ;;
test)
    install_apt build test
    install_wheels
    install_jars clients console-tools frameworks broker
    ;;
bench)
    install_apt build test bench
    install_wheels
    install_jars clients console-tools frameworks broker
    ;;
*) die "unknown level '$level'" ;;
esac
echo "$stamp" >"$stamps/$level"
