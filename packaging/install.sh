#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Puts in place all that an installed system needs: the one list of it. `make install` and the Debian package call it.
#
#   install.sh BINARY        by the environment: PREFIX=/usr/local SYSCONFDIR=/etc DESTDIR= ZSH_COMPLETIONS=site-functions
#
# A configuration that is there already is left as it is.
set -euo pipefail

binary=${1:?usage: install.sh BINARY}
prefix=${PREFIX:-/usr/local}
root=${DESTDIR:-}
etc=$root${SYSCONFDIR:-/etc}
here=$(cd "$(dirname "$0")" && pwd)

put() { # MODE DIRECTORY FILE...
    local mode=$1 directory=$2 file
    shift 2
    for file; do install -D -m "$mode" "$file" "$directory/${file##*/}"; done
}

# The files name their places as in a package.
put_adapted() { # MODE DIRECTORY FILE...
    local mode=$1 directory=$2 file
    shift 2
    put "$mode" "$directory" "$@"
    if [ "$prefix" = /usr ]; then return 0; fi
    for file; do
        sed -E -i -e "s,/usr/bin/fdwatch,$prefix/bin/fdwatch,g" \
            -e "s,/usr/lib/fdwatch/(hooks|network),$prefix/lib/fdwatch/\1,g" "$directory/${file##*/}"
    done
}

usr=$root$prefix
install -D -m 755 "$binary" "$usr/bin/fdwatch"
put_adapted 644 "$usr/lib/systemd/system" "$here"/systemd/*.service "$here"/systemd/*.socket
put_adapted 644 "$usr/lib/fdwatch" "$here/systemd/network.conf"
put 755 "$usr/lib/fdwatch/hooks" "$here"/hooks/*
put 644 "$usr/lib/systemd/catalog" "$here/catalog/fdwatch.catalog"
put 644 "$usr/share/fdwatch/prometheus" "$here/prometheus/fdwatch.rules.yml"
put 644 "$usr/share/fdwatch/grafana" "$here/grafana/fdwatch.json"
for page in "$here"/man/*; do put_adapted 644 "$usr/share/man/man${page##*.}" "$page"; done
put 644 "$usr/share/doc/fdwatch" "$here/../README.md" "$here"/../docs/*.md

# The program writes its own completions.
completions() { # SHELL FILE
    mkdir -p "$(dirname "$2")"
    # They are read by a shell, and not run: no "#!" line.
    "$binary" --generate-completion-script "$1" | sed '1{/^#!/d}' >"$2"
    chmod 644 "$2"
}
completions bash "$usr/share/bash-completion/completions/fdwatch"
completions zsh "$usr/share/zsh/${ZSH_COMPLETIONS:-site-functions}/_fdwatch"
completions fish "$usr/share/fish/vendor_completions.d/fdwatch.fish"

mkdir -p "$etc/fdwatch/fdwatch.d"
if [ -e "$here/fdwatch.toml" ] && [ ! -e "$etc/fdwatch/fdwatch.toml" ]; then
    put_adapted 644 "$etc/fdwatch" "$here/fdwatch.toml"
fi
