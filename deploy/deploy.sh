#!/usr/bin/env bash
# Brings this checkout onto the server: builds the image, copies it over SSH, starts the new version
# beside the old one, migrates, and gives it the visitors once it is ready. When a check fails, the
# old version has them (again), and the exit code is 1. See docs/deployment.md.
#   DEPLOY_HOST      user@host, reached with a key (ssh-agent or ~/.ssh); required
#   DEPLOY_ENGINE    docker or podman, here and there; default docker
#   DEPLOY_VERSION   tag of the image; default the commit
#   DEPLOY_ENV_FILE  file of settings on the server; default /etc/satupeta/satupeta.env
#   DEPLOY_OWNER_ENV_FILE  one with MIGRATION_DATABASE_URL, which the API does not get; default none
#   DEPLOY_RUN       more options of the engine's run there, such as "--network host"
#   DEPLOY_PORTS     two free ports on the server, taken in turn; default "5001 5002"
#   DEPLOY_UPSTREAM  file that nginx includes; default /etc/nginx/satupeta/upstream.conf
#   DEPLOY_RELOAD    how nginx takes it up; default "nginx -t -q && nginx -s reload"
#   DEPLOY_VERIFY    address asked from here at the end, such as https://peta.example.org
#   DEPLOY_WAIT      seconds until the new version must be ready; default 60
#   DEPLOY_DRAIN     seconds at most that requests under way at the old one get; default 120
set -euo pipefail
cd "$(dirname "$0")/.."

host=${DEPLOY_HOST:?user@host of the server}
engine=${DEPLOY_ENGINE:-docker}
version=${DEPLOY_VERSION:-$(git rev-parse --short=12 HEAD)}
env_file=${DEPLOY_ENV_FILE:-/etc/satupeta/satupeta.env}
owner_env_file=${DEPLOY_OWNER_ENV_FILE:-}
options=${DEPLOY_RUN:-}
ports=${DEPLOY_PORTS:-5001 5002}
upstream=${DEPLOY_UPSTREAM:-/etc/nginx/satupeta/upstream.conf}
reload=${DEPLOY_RELOAD:-nginx -t -q && nginx -s reload}
wait=${DEPLOY_WAIT:-60}
drain=${DEPLOY_DRAIN:-120}
verify=${DEPLOY_VERIFY:-}
[[ $engine == docker || $engine == podman ]] || { echo "DEPLOY_ENGINE is docker or podman." >&2; exit 2; }
[[ $version =~ ^[A-Za-z0-9_.-]+$ ]] || { echo "DEPLOY_VERSION is no tag of an image." >&2; exit 2; }

say() { printf '== %s\n' "$*"; }
# Keys only: no password is asked for, and an unknown server is not believed.
remote() { ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ServerAliveInterval=15 "$host" "$@"; }

# Run a step of the server's part (below) there, with the settings in its environment.
on_server() {
    local settings
    settings=$(printf '%s=%q ' engine "$engine" version "$version" env_file "$env_file" \
        owner_env_file "$owner_env_file" options "$options" \
        ports "$ports" upstream "$upstream" reload "$reload" wait "$wait" drain "$drain")
    # shellcheck disable=SC2046
    { printf '%s\n' "$settings"; declare -f $(compgen -A function server_); printf 'set -euo pipefail\nserver_%s </dev/null\n' "$1"; } |
        remote bash -s
}

# The server's part: functions that are sent there.

# The port that nginx sends its requests to now; nothing before the first time.
server_current() { sed -n 's/^server 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$upstream" 2>/dev/null || true; }

# The other one of the two ports.
server_slot() {
    local current port
    current=$(server_current)
    for port in $ports; do
        if [[ $port != "$current" ]]; then echo "$port"; return; fi
    done
}

server_run() {
    local more
    read -r -a more <<<"$options"
    "$engine" run --env-file "$env_file" --read-only --cap-drop ALL --security-opt no-new-privileges "${more[@]}" "$@"
}

# The same for what may change tables.
server_run_as_owner() {
    local owner=()
    [[ -z $owner_env_file ]] || owner=(--env-file "$owner_env_file")
    server_run "${owner[@]}" "$@"
}

server_image() { "$engine" inspect --format '{{.Image}}' "satupeta-$1" 2>/dev/null || true; }

server_remove() { "$engine" rm --force --volumes "satupeta-$1" >/dev/null 2>&1 || true; }

# Migrations are such that the old version goes on working on them (docs/deployment.md).
# The first time reference data and bucket come with them.
server_migrate() {
    server_run_as_owner --rm --tmpfs /tmp "satupeta:$version" satupeta db upgrade
    [[ -z $(server_image "$(server_current)") ]] || return 0
    server_run --rm --tmpfs /tmp "satupeta:$version" satupeta db seed
    server_run --rm --tmpfs /tmp "satupeta:$version" satupeta bucket create
}

server_start() {
    local port listen
    port=$(server_slot)
    listen=(--publish "127.0.0.1:$port:$port" --env HOST=0.0.0.0)
    # On the host's own network nothing is published, and all addresses would be the server's.
    [[ " $options " =~ \ --net(work)?[=\ ]host\  ]] && listen=(--env HOST=127.0.0.1)
    rm -f "$upstream.before"
    server_remove "$port"
    server_run --detach --name "satupeta-$port" --restart unless-stopped "${listen[@]}" \
        --env "PORT=$port" --volume /tmp --stop-timeout 15 "satupeta:$version" >/dev/null
}

# Whether the new version is live, or ready.
server_live() { server_check live; }
server_ready() { server_check ready; }
server_check() {
    local port deadline=$((SECONDS + wait))
    port=$(server_slot)
    until curl --fail --silent --output /dev/null --max-time 5 "http://127.0.0.1:$port/api/health/$1"; do
        if ((SECONDS >= deadline)); then
            "$engine" logs --tail 50 "satupeta-$port" >&2 || true
            return 1
        fi
        sleep 1
    done
}

server_switch() {
    local port
    port=$(server_slot)
    cp --preserve "$upstream" "$upstream.before" 2>/dev/null || : >"$upstream.before"
    echo "server 127.0.0.1:$port max_fails=0;" >"$upstream.new"
    mv "$upstream.new" "$upstream"
    bash -c "$reload"
}

# Before the API of the new version asks for jobs that only it knows; the new worker knows the old
# ones. Jobs under way get 20 seconds and are then given back; the queue waits for the new worker.
server_worker() { server_work "satupeta:$version"; }

server_work() {
    "$engine" stop satupeta-worker >/dev/null 2>&1 || true
    server_remove worker
    server_run_as_owner --detach --name satupeta-worker --restart unless-stopped --no-healthcheck --volume /tmp \
        --stop-timeout 30 "$1" satupeta worker >/dev/null
    # One that cannot work ends at once, again and again.
    sleep 3
    if [[ $("$engine" inspect --format '{{.State.Running}} {{.RestartCount}}' satupeta-worker) != "true 0" ]]; then
        "$engine" logs --tail 50 satupeta-worker >&2 || true
        return 1
    fi
}

# Requests under way at it are answered before it ends: those workers of nginx that still ask the
# old one end with their last request.
server_end() {
    local deadline=$((SECONDS + drain))
    sleep 1
    while ((SECONDS < deadline)) && pgrep -f 'nginx: worker process is shutting down' >/dev/null; do sleep 1; done
    "$engine" stop "satupeta-$1" >/dev/null 2>&1 || true
    server_remove "$1"
}

# Whatever was done so far: nginx asks the old one, which does the work, and the new one is gone.
server_back() {
    local old
    if [[ -e $upstream.before ]]; then
        # Before a first time there is nothing to go back to.
        if [[ -s $upstream.before ]]; then mv "$upstream.before" "$upstream"; else rm "$upstream.before" "$upstream"; fi
        bash -c "$reload" || true
    fi
    old=$(server_image "$(server_current)")
    if [[ -z $old ]]; then
        server_remove worker
    elif [[ $old != "$(server_image worker)" ]]; then
        server_work "$old" || true
    fi
    server_end "$(server_slot)"
}

server_finish() {
    local port old
    port=$(server_slot)
    old=$(server_image "$port")
    rm -f "$upstream.before"
    server_end "$port"
    # The version before stays, to go back to by hand; what is older goes.
    "$engine" images --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}}' | while read -r id name; do
        if [[ $name == *satupeta:* && $name != *"satupeta:$version" && ${id#sha256:} != "${old#sha256:}" ]]; then
            "$engine" rmi "$name" >/dev/null 2>&1 || true
        fi
    done
    "$engine" image prune --force >/dev/null
}

# From here on again on this machine.

go_back() {
    trap - EXIT
    echo "== It failed; going back to the version before" >&2
    on_server back || echo "The server could not be told; look at $upstream and at $engine ps there." >&2
    exit 1
}

verified() {
    [[ -z $verify ]] || curl --fail --silent --output /dev/null --max-time 10 --retry 5 --retry-all-errors \
        --retry-delay 1 "$verify/api/health/ready"
}

say "Build satupeta:$version"
# Podman's own format has no health check.
export BUILDAH_FORMAT=docker
"$engine" build --tag "satupeta:$version" .
say "Copy it to $host"
"$engine" save "satupeta:$version" | gzip -1 | remote "gunzip | $engine load"
trap go_back EXIT
say "Start it beside the old version"
on_server start
on_server live
say "Migrate"
on_server migrate
say "Wait until it is ready"
on_server ready
say "Let the new version do the background work"
on_server worker
say "Switch"
on_server switch
say "Verify"
verified
trap - EXIT
say "End the old version and tidy up"
on_server finish
say "satupeta:$version serves"
