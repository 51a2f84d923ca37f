# What the benchmark scripts share: programs that are started on empty folders, and medians. Sourced behind shared.bash, not run.
# shellcheck shell=bash

command -v wrk >/dev/null || fail "wrk is missing: apt install wrk (Debian, Ubuntu) or brew install wrk (macOS)"
command -v curl >/dev/null || fail "curl is missing"

mkdir -p target/bench
work=$(mktemp -d "$PWD/target/bench/${0##*/}.XXXXXX")
pids=()

# Whatever happens, nothing that was started here stays; logs stay when something went wrong.
clean_up() {
    local status=$?
    for pid in "${pids[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
    done
    if [[ $status -eq 0 ]]; then
        rm -rf "$work"
    else
        echo "${0##*/}: logs are in $work" >&2
    fi
}
trap clean_up EXIT
trap 'exit 130' INT TERM

free_port() {
    local port
    while true; do
        port=$((20000 + RANDOM % 10000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# start NAME COMMAND [FOLDER]: runs a program on an empty folder, or on one that an earlier run has left, and waits until it is
# ready. The command may use $INVENTORY__SERVER__PORT and $INVENTORY__DATA__DIR.
# Leaves its number in $pid, its address in $url and its folder in $folder.
start() {
    local name=$1 command=$2 port
    port=$(free_port)
    folder=${3:-$(mktemp -d "$work/$name.XXXXXX")}
    url=http://127.0.0.1:$port
    INVENTORY__SERVER__PORT=$port INVENTORY__DATA__DIR=$folder/data \
        bash -c "exec $command" >"$folder/log" 2>&1 &
    pid=$!
    pids+=("$pid")
    for _ in {1..3000}; do
        if [[ $(curl --silent --output /dev/null --write-out '%{http_code}' "$url/health/ready") == 200 ]]; then
            return
        fi
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.01
    done
    tail -n 20 "$folder/log" >&2
    fail "$name is not ready"
}

# stop PID FOLDER: ends a program that `start` ran, and removes what it wrote.
stop() {
    end TERM "$1"
    rm -rf "$2"
}

# end SIGNAL PID: ends a program that `start` ran, and leaves its folder.
end() {
    local signal=$1 pid=$2
    kill "-$signal" "$pid" 2>/dev/null || fail "process $pid has ended by itself"
    for _ in {1..3000}; do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.01
    done
    if kill -KILL "$pid" 2>/dev/null; then
        echo "${0##*/}: process $pid did not stop within 30 s of SIGTERM" >&2
    fi
    { wait "$pid" || true; } 2>/dev/null
    local others=() other
    for other in "${pids[@]}"; do
        [[ $other == "$pid" ]] || others+=("$other")
    done
    pids=("${others[@]}")
}

# Clock ticks that process $1 has spent; its name may hold spaces, so count from the parenthesis that ends it.
ticks() {
    sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}

# Waits until process $1 has nothing left to do: a read side that catches up would take the next load's time.
wait_until_idle() {
    [[ -r /proc/$1/stat ]] || { sleep 3 && return; } # No /proc, as on macOS.
    local before after
    before=$(ticks "$1")
    for _ in {1..1200}; do
        sleep 0.5
        after=$(ticks "$1")
        [[ $((after - before)) -gt 1 ]] || return 0
        before=$after
    done
    fail "process $1 is still busy after ten minutes"
}

# The median of the numbers on standard input.
median() {
    sort -g | awk '{ n[NR] = $1 } END { print NR % 2 ? n[(NR + 1) / 2] : (n[NR / 2] + n[NR / 2 + 1]) / 2 }'
}

column() {
    awk -v column="$2" '{ print $column }' "$1"
}
