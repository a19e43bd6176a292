#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds a Debian package of what `make build` made.
#
#   build.sh BINARY [DIRECTORY]      prints the path of the package, which lies in DIRECTORY (packaging/deb by default)
#
# REVISION=2 makes fdwatch_VERSION-2; COMPRESSION=none is for tests. The same sources and binary give the same bytes: times are SOURCE_DATE_EPOCH, by
# default that of the last commit.
set -euo pipefail

binary=$(realpath -e -- "${1:?usage: build.sh BINARY [DIRECTORY]}")
here=$(cd "$(dirname "$0")" && pwd)
output=$(realpath -- "${2:-$here}")
for tool in dpkg-deb dpkg-shlibdeps; do
    command -v "$tool" >/dev/null || { echo "build.sh: there is no $tool (Debian: dpkg-dev)" >&2; exit 1; }
done

version=$("$binary" --version)-${REVISION:-1}
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git -C "$here" log -1 --format=%ct 2>/dev/null || stat -c %Y "$here/../../CHANGELOG.md")
fi
# xz gives other bytes with more threads.
export SOURCE_DATE_EPOCH DPKG_DEB_THREADS_MAX=1 TZ=UTC LC_ALL=C
umask 022

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
root=$work/root
mkdir -p "$root/DEBIAN" "$work/debian"
DESTDIR=$root PREFIX=/usr ZSH_COMPLETIONS=vendor-completions "$here/../install.sh" "$binary"

# What a Debian package has beyond it.
doc=$root/usr/share/doc/fdwatch
install -m 644 "$here/copyright" "$doc/copyright"
gzip -9n <"$here/../../CHANGELOG.md" >"$doc/changelog.gz"
{
    printf 'fdwatch (%s) unstable; urgency=medium\n\n  * See changelog.gz for what changes for users.\n\n' "$version"
    printf ' -- %s  %s\n' "$(sed -n 's/^Maintainer: //p' "$here/control")" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$doc/changelog.Debian.gz"
find "$root/usr/share/man" -type f -exec gzip -9n {} +
install -D -m 644 "$here/lintian-overrides" "$root/usr/share/lintian/overrides/fdwatch"

for script in postinst prerm postrm; do install -m 755 "$here/$script" "$root/DEBIAN/$script"; done
(cd "$root" && find etc -type f -printf '/%p\n' | sort >DEBIAN/conffiles)
[ -s "$root/DEBIAN/conffiles" ] || rm "$root/DEBIAN/conffiles"
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)

# What it is linked with, and which versions of that have what it uses. It reads the name of the package from here.
printf 'Source: fdwatch\n\nPackage: fdwatch\nArchitecture: any\n' >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O "$root/usr/bin/fdwatch" | sed -n 's/^shlibs:Depends=//p')
{
    sed -e "s/@VERSION@/$version/; s/@ARCHITECTURE@/$(dpkg --print-architecture)/; s/@DEPENDS@/$depends/" \
        -e "s/@SIZE@/$(du -k -s --apparent-size --exclude=DEBIAN "$root" | cut -f 1)/" -e '/^#/d' "$here/control"
} >"$root/DEBIAN/control"

# Directories, too.
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0r touch --no-dereference --date="@$SOURCE_DATE_EPOCH"
mkdir -p "$output"
package=$output/fdwatch_${version}_$(dpkg --print-architecture).deb
dpkg-deb --root-owner-group "-Z${COMPRESSION:-xz}" --build "$root" "$package" >&2
echo "$package"
