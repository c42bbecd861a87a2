#!/usr/bin/env bash
# tests/docker with a container engine: the one that is running, else one started for it where the machine allows
# (and installed with ENG5_DOCKER_INSTALL=1), which is stopped again. Arguments go to pytest.
# PYTHON is the interpreter with the package and its extras `embedded`, `container` and `test`.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
engine=scripts/docker_engine.sh

"$engine" status || trap '"$engine" stop' EXIT  # one that was started before stays
settings=$("$engine" start ${ENG5_DOCKER_INSTALL:+--install})
eval "$settings"
if [ -z "${ENG5_DOCKER_BASE:-}" ]; then
    settings=$("$engine" base)
    eval "$settings"
fi
# A base image made here has this machine's certificates, which a proxy of the network may need.
if [ -z "${ENG5_BUILD_CA_BUNDLE:-}" ] && [ "$ENG5_DOCKER_BASE" = eng5-base:local ]; then
    export ENG5_BUILD_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
fi
ENG5_DOCKER_TESTS=1 "$python" -m pytest -p no:randomly tests/docker tests/brokers/test_broker_container.py "$@"
