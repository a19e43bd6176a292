// SPDX-License-Identifier: Apache-2.0
#if !__has_include(<systemd/sd-journal.h>)
#error "libsystemd's headers are missing. Install them: apt-get install libsystemd-dev"
#endif
// An entry's own CODE_FILE and CODE_LINE would name this header.
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>
#include <systemd/sd-login.h>
