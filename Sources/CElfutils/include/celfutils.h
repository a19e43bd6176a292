// SPDX-License-Identifier: Apache-2.0
// libdw of elfutils, loaded when it is first used, in the few calls that names for addresses take.

#ifndef FDWATCH_CELFUTILS_H
#define FDWATCH_CELFUTILS_H

#include <stddef.h>
#include <stdint.h>

typedef struct fdwatch_elf fdwatch_elf;

/// One frame at an address. The strings live as long as the file.
typedef struct {
    const char *function;
    const char *file;
    int line;
} fdwatch_frame;

/// An ELF file by its descriptor, which is taken over. NULL where it is none, or where there is no libdw.
fdwatch_elf *fdwatch_elf_open(int descriptor, const char *name);
void fdwatch_elf_close(fdwatch_elf *elf);
/// The build id, or 0 bytes.
size_t fdwatch_elf_build_id(fdwatch_elf *elf, const uint8_t **bytes);
/// The frames at an offset of the file, innermost first; how many there were.
size_t fdwatch_elf_frames(fdwatch_elf *elf, uint64_t offset, fdwatch_frame *frames, size_t room);
/// A C++ or Swift name as people write it, to be freed; NULL where it is none.
char *fdwatch_demangled(const char *name);

#endif
