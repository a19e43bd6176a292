// SPDX-License-Identifier: Apache-2.0
// What the kernel takes at least: bare loops over the same system calls.
#pragma once

/// `count` times fstatat(2) of `fd` in the process's directory. Returns the last size, or -1.
long peer_count(int directory, int count);

/// The same by listing `fd` with getdents64(2).
long peer_count_by_listing(int directory, int count);

/// One enumeration with readlinkat(2) of every descriptor; `details` adds fdinfo, and statx(2) of what has a path, by
/// the rules of Procfs. Returns how many descriptors there were, or -1.
long peer_census(int directory, int details);
