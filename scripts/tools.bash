# Tools that come from PyPI, ready to run; for other scripts to source, from the project's folder.

# Installs what scripts/$1.txt lists into target/$1, where that isn't there yet.
install_tools() {
    local folder=target/$1
    [[ -f $folder/installed.txt ]] && cmp -s "scripts/$1.txt" "$folder/installed.txt" && return
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "scripts/$1.txt"
    cp "scripts/$1.txt" "$folder/installed.txt"
}
