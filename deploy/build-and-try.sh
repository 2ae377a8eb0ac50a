#!/usr/bin/env bash
# Builds the image with buildah and runs it as an engine would: as process 1 of its own namespace,
# not as root, on a file system that cannot be written. Needs root, a checkout with .venv
# (`make test` makes it), and of Debian: buildah, debootstrap, util-linux.
#   BASE_FOLDER    root folder of the base image; without it debootstrap makes a Debian 12
#   BUILD_OPTIONS  more options of `buildah build`, such as --volume for certificates
# Everything that it makes stands in one folder under /var/tmp, which is gone at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d /var/tmp/satupeta-image.XXXXXX)
chmod 755 "$work"
read -r -a build_options <<<"${BUILD_OPTIONS:-}"
build() { buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }
say() { printf '== %s\n' "$*"; }
servers_pid='' api_pid=''

tidy_up() {
    # Process 1 takes its whole namespace with it.
    if [[ -n $api_pid ]]; then kill -KILL "$api_pid" 2>/dev/null || true; fi
    if [[ -n $servers_pid ]]; then
        kill "$servers_pid" 2>/dev/null || true
        wait "$servers_pid" || true
    fi
    build umount --all >/dev/null 2>&1 || true
    build rm --all >/dev/null 2>&1 || true
    rm -rf --one-file-system "$work"
}
trap tidy_up EXIT

make_base() {
    local container folder=${BASE_FOLDER:-}
    if [[ -z $folder ]]; then
        folder=$work/base
        debootstrap --variant=minbase --include=python3,python3-pip,python3-venv,ca-certificates \
            bookworm "$folder" >"$work/debootstrap.log"
        rm -rf "$folder"/var/cache/apt/* "$folder"/var/lib/apt/lists/*
    fi
    container=$(build from scratch)
    build add --quiet "$container" "$folder" / >/dev/null
    build config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
    build commit --quiet --rm "$container" localhost/base >/dev/null
}

build_image() {
    # A health check is of Docker's format, not of OCI's.
    build build --isolation chroot --layers --format docker --build-arg BASE_IMAGE=localhost/base \
        "${build_options[@]}" --tag localhost/satupeta .
}

# Run a command of the image; as the last thing of a subshell, so that it replaces it.
in_container() {
    set -a
    # shellcheck source=/dev/null
    source "$work/image.env"
    # shellcheck source=/dev/null
    source "$work/settings.env"
    set +a
    # shellcheck disable=SC2016  # the inner shell puts them in
    exec unshare --mount --pid --fork --kill-child sh -euc '
        root=$1; shift
        mount --bind "$root" "$root"
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
        mount -o remount,bind,ro "$root"
        exec chroot --userspec="$IMAGE_USER" "$root" env --chdir="$IMAGE_DIRECTORY" -u IMAGE_USER -u IMAGE_DIRECTORY "$@"' sh "$root" "$@"
}

wait_until() {
    for _ in $(seq 300); do
        if "$@"; then return; fi
        sleep 0.2
    done
    echo "In vain: $*" >&2
    return 1
}

fail() { echo "$*" >&2; exit 1; }
is_ready() { curl -fs "http://127.0.0.1:$PORT/api/health/ready" >/dev/null; }
is_refused() { ! curl -s -o /dev/null "http://127.0.0.1:$PORT/api/health/live"; }

say "Base image"
make_base
say "Build"
build_image >"$work/build.log" 2>&1 || { tail -40 "$work/build.log"; exit 1; }
say "Build again with changed code: the dependencies come from the cache"
mkdir "$work/changed"
cp -r .dockerignore Dockerfile pyproject.toml README.md requirements*.lock migrations satupeta_server satupeta_cli "$work/changed"
( cd "$work/changed" && echo '# changed' >>satupeta_cli/__init__.py && build_image ) >"$work/again.log" 2>&1
[[ $(grep -c 'Using cache' "$work/again.log") -ge 4 ]] || fail "Nothing came from the cache."
build images --filter reference=localhost/satupeta

container=$(build from localhost/satupeta)
root=$(build mount "$container")
inspect() { build inspect --type image --format "$1" localhost/satupeta; }
# As an engine does.
directory=$(inspect '{{.OCIv1.Config.WorkingDir}}')
mkdir -p "$root$directory" "$root/proc" "$root/dev" "$root/tmp"
inspect '{{range .OCIv1.Config.Env}}{{println .}}{{end}}' >"$work/image.env"
echo "IMAGE_USER=$(inspect '{{.OCIv1.Config.User}}')" >>"$work/image.env"
echo "IMAGE_DIRECTORY=$directory" >>"$work/image.env"
read -r -a command <<<"$(inspect '{{range .OCIv1.Config.Cmd}}{{.}} {{end}}')"
mapfile -t health < <(inspect '{{range .Docker.Config.Healthcheck.Test}}{{println .}}{{end}}' | sed '1d;/^$/d')
PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
echo "PORT=$PORT WORKERS=2 HOST=127.0.0.1" >>"$work/image.env"

say "PostgreSQL and an object store to try it on"
.venv/bin/python -m tests.deployment.servers "$work" &
servers_pid=$!
wait_until test -e "$work/settings.env"

say "Commands, as user $(in_container id -u)"
[[ $(in_container id -u) != 0 ]] || fail "It runs as root."
! (in_container touch /app/written 2>/dev/null) || fail "Its file system can be written."
(in_container satupeta version)
(in_container satupeta db upgrade) | tail -1
(in_container satupeta db check)

say "Every command tells of itself"
for name in $(in_container satupeta --help | awk '/^Commands:/ {found = 1; next} found {print $1}'); do
    (in_container satupeta "$name" --help) >/dev/null || fail "satupeta $name --help"
done

say "satupeta worker; SIGTERM to process 1"
in_container satupeta worker >"$work/worker.log" 2>&1 &
unshared=$!
wait_until grep -q "the worker works" "$work/worker.log"
api_pid=$(ps -o pid= --ppid "$unshared" | tr -d ' ')
(in_container satupeta jobs status)
kill -TERM "$api_pid"
wait "$unshared" || fail "The worker ended with $?: $(cat "$work/worker.log")"
api_pid=''

say "${command[*]}, with two API processes"
in_container "${command[@]}" >"$work/api.log" 2>&1 &
unshared=$!
wait_until is_ready
api_pid=$(ps -o pid= --ppid "$unshared" | tr -d ' ')
(in_container "${health[@]}")
say "Healthy; SIGTERM to process 1"
begin=$SECONDS
kill -TERM "$api_pid"
wait "$unshared" || fail "It ended with $?: $(cat "$work/api.log")"
api_pid=''
((SECONDS - begin < 10)) || fail "It took too long to end."
is_refused || fail "Something still answers."
if (in_container "${health[@]}" 2>/dev/null); then fail "The health check sees nothing."; fi
say "It ended in order, and the health check noticed. All is well."
