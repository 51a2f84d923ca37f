# What the scripts share: what they say, their tests, and programs and tools that they build or install. Sourced from the project's folder, not run.
# shellcheck shell=bash

# The comment that a script begins with is its help.
print_help() {
    awk 'NR == 1 { next } !/^#/ { exit } { sub(/^# ?/, ""); print }' "scripts/${0##*/}"
}

# help_if_asked ARGUMENT...: the end of the script where one of its arguments asks for help.
help_if_asked() {
    local argument
    for argument in "$@"; do
        case $argument in
        -h | --help)
            print_help
            exit
            ;;
        esac
    done
}

# The end of a script that was called in a way that makes no sense.
misused() {
    print_help >&2
    exit 2
}

# whole_number NAME TEXT [LEAST [MOST]]: the end of the script where the text is no whole number from LEAST (1) to MOST (999,999,999). Most
# of what reads it further on would take something else in its place, and say nothing.
whole_number() {
    local least=${3:-1} most=${4:-999999999}
    # Texts of one length are in the order of their numbers, and no number is too great to be compared so.
    if [[ $2 =~ ^(0|[1-9][0-9]*)$ ]] && ! is_less "$2" "$least" && ! is_less "$most" "$2"; then
        return
    fi
    echo "${0##*/}: $1 is no whole number from $least to $most: $2" >&2
    misused
}

is_less() {
    [[ ${#1} -lt ${#2} || (${#1} -eq ${#2} && $1 < $2) ]]
}

# What a seed may be at most.
# shellcheck disable=SC2034 # It is for the scripts.
seed_max=18446744073709551615

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

step() {
    printf '\n== %s\n' "$*"
}

tests_passed=0

# count_tests ARGUMENT...: `cargo test`; adds to $tests_passed how many have.
count_tests() {
    local said status=0
    said=$(mktemp)
    cargo test --locked "$@" | tee "$said" || status=$?
    tests_passed=$((tests_passed + $(awk '/^test result: ok\./ { passed += $4 } END { print passed + 0 }' "$said")))
    rm "$said"
    [[ $status -eq 0 ]] || exit "$status"
}

# run_tests ARGUMENT...: `cargo test`, where one has to pass. To cargo a name that no test has (any more) is a success.
run_tests() {
    tests_passed=0
    count_tests "$@"
    [[ $tests_passed -gt 0 ]] || fail "no test was run by: cargo test $*"
}

# build_release PART...: the `service`, the `ceilings` that it is measured against, or both; nothing where BUILD=no.
build_release() {
    local part
    [[ ${BUILD:-yes} == yes ]] || return 0
    for part in "$@"; do
        case $part in
        service) cargo build --locked --release --package inventory-api --bin inventory ;;
        ceilings) cargo build --locked --release --package inventory-benches --examples ;;
        *) fail "what is $part?" ;;
        esac
    done
}

# Installs what scripts/$1.txt lists, which is on PyPI and ready to run, into target/$1, where that isn't there yet.
install_tools() {
    local folder=target/$1
    [[ -f $folder/installed.txt ]] && cmp -s "scripts/$1.txt" "$folder/installed.txt" && return
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "scripts/$1.txt"
    cp "scripts/$1.txt" "$folder/installed.txt"
}

# install_crate FOLDER CRATE VERSION [FLAG...]: builds a program of crates.io into target/FOLDER, where that version isn't there yet.
install_crate() {
    local folder=target/$1 crate=$2 version=$3
    [[ $(cat "$folder/installed.txt" 2>/dev/null) != "$crate $version" ]] || return 0
    cargo install --quiet --locked --root "$folder" --version "$version" "${@:4}" "$crate"
    echo "$crate $version" >"$folder/installed.txt"
}
