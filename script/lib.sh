# Shared by the scripts in this folder: where things lie, and how to speak to the person at the terminal.
set -euo pipefail
export LC_ALL=C.UTF-8
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build

say() { if [ -t 2 ]; then printf '\033[1m%s\033[0m\n' "$*" >&2; else printf '%s\n' "$*" >&2; fi; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
