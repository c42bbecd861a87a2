#!/usr/bin/env bash
# A Docker engine for the Docker tests, where the machine has none running but allows one.
#
#   scripts/docker_engine.sh start [--install]   start one, unless one is running; with --install after installing
#                                                the Debian packages docker.io, docker-compose, debootstrap
#   scripts/docker_engine.sh base                have a base image for the Dockerfile: pulled, or made with debootstrap
#   scripts/docker_engine.sh status              succeed if an engine started here is running
#   scripts/docker_engine.sh stop [--keep]       end the engine started here and remove its data (--keep: leave it)
#
# Standard output is `export NAME=value` for the shell: DOCKER_HOST (start), ENG5_DOCKER_BASE (base). What was done
# is said on standard error. An engine that is running already is used as it is and never stopped or changed.
# ENG5_DOCKER_DIR is where everything of the engine lies (default /var/tmp/eng5-docker), ENG5_DOCKERD_FLAGS are
# further flags of dockerd, DEBIAN_MIRROR is where debootstrap looks.
set -euo pipefail

dir=${ENG5_DOCKER_DIR:-/var/tmp/eng5-docker}
socket=unix://$dir/docker.sock
pidfile=$dir/docker.pid
log=$dir/dockerd.log
official=python:3.11-slim-bookworm
own=eng5-base:local

say() { echo "docker_engine: $*" >&2; }
fail() { say "$1"; exit 1; }
answers() { DOCKER_HOST=${1:-${DOCKER_HOST:-}} timeout 20 docker info >/dev/null 2>&1; }

ours() {  # the process id of the engine started here, if it still runs
    local pid
    pid=$(cat "$pidfile" 2>/dev/null) || return 1
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q -- "--data-root $dir/data" || return 1
    echo "$pid"
}

install_packages() {
    command -v apt-get >/dev/null || fail "installing is done with apt-get, which is missing: install Docker yourself"
    say "installing docker.io, docker-compose and debootstrap"
    apt-get -qq update >&2
    # No service is started by the installation: nothing of the machine is changed but its packages.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y \
        docker.io docker-compose debootstrap iptables >&2
}

launch() {  # start dockerd with these further flags and wait until it answers
    say "starting dockerd in $dir ${*:+with $*}"
    # shellcheck disable=SC2086
    setsid dockerd --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$pidfile" --host "$socket" \
        ${ENG5_DOCKERD_FLAGS:-} "$@" >"$log" 2>&1 </dev/null &
    local pid=$!
    for _ in $(seq 150); do
        answers "$socket" && return 0
        kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.2
    done
    kill "$pid"
    return 1
}

start() {
    if command -v docker >/dev/null && answers; then
        say "an engine is running already: it is used as it is"
        return
    fi
    if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
        [ "${1:-}" = --install ] || fail "no dockerd on this machine; start --install installs the Debian packages"
        [ "$(id -u)" = 0 ] || fail "installing packages needs root"
        install_packages
    fi
    if ours >/dev/null && answers "$socket"; then
        say "the engine started before is still running"
    else
        [ "$(id -u)" = 0 ] || fail "starting dockerd needs root"
        mkdir -p "$dir"
        rm -f "$pidfile"
        # Its own choice of storage is far quicker than vfs, which works everywhere.
        launch || launch --storage-driver=vfs || { tail -n 20 "$log" >&2; fail "dockerd does not start; its log is $log"; }
        say "running: $(DOCKER_HOST=$socket docker info -f 'Docker {{.ServerVersion}}, storage {{.Driver}}')"
    fi
    echo "export DOCKER_HOST=$socket"
}

base() {
    answers || fail "no engine answers; run start first"
    if docker image inspect "$official" >/dev/null 2>&1 || docker pull "$official" >&2; then
        say "base image: $official"
        echo "export ENG5_DOCKER_BASE=$official"
        return
    fi
    docker image inspect "$own" >/dev/null 2>&1 || make_base
    say "base image: $own"
    echo "export ENG5_DOCKER_BASE=$own"
}

make_base() {
    command -v debootstrap >/dev/null || fail "$official cannot be pulled, and debootstrap is not installed to make one"
    [ "$(id -u)" = 0 ] || fail "$official cannot be pulled, and debootstrap needs root to make one"
    say "$official cannot be pulled: making $own from Debian packages"
    local root
    root=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "rm -rf '$root' '$root.log'" EXIT
    debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv,python-is-python3 \
        bookworm "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$root.log" 2>&1 \
        || { tail -n 20 "$root.log" >&2; fail "debootstrap failed"; }
    # Who trusts a proxy of this network by its certificate must also do so in a build.
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    tar -C "$root" -c . | docker import --change 'CMD ["python3"]' - "$own" >/dev/null
}

stop() {
    local pid
    if ! pid=$(ours); then
        say "no engine was started here: nothing to stop"
        return
    fi
    say "stopping dockerd ($pid)"
    kill "$pid"
    for _ in $(seq 150); do
        [ -d "/proc/$pid" ] || break
        sleep 0.2
    done
    [ ! -d "/proc/$pid" ] || fail "dockerd ($pid) does not end"
    if [ "${1:-}" = --keep ]; then
        say "its data stays in $dir"
    else
        rm -rf "$dir"
        say "removed $dir"
    fi
}

case ${1:-} in
    start | base | stop) "$@" ;;
    status) ours >/dev/null ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
esac
