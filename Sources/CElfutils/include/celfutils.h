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
/// Walks stacks that were copied from a process, by what its files say of their frames.
typedef struct fdwatch_unwinder fdwatch_unwinder;

/// One return address after another, as DWARF numbers the registers of x86-64: 16, and the instruction's address.
enum { FDWATCH_UNWIND_REGISTERS = 17 };

/// NULL where there is no libdw.
fdwatch_unwinder *fdwatch_unwinder_new(void);
void fdwatch_unwinder_free(fdwatch_unwinder *unwinder);
/// A file by its descriptor, which is taken over, and where its code is mapped: an address, and the offset in the file.
/// Before the first stack. 0 where it is of no use.
int fdwatch_unwinder_add(
    fdwatch_unwinder *unwinder, int descriptor, const char *name, uint64_t start, uint64_t offset);
/// The addresses of a stack's calls, innermost first; how many there were. `stack` is what stood above the stack pointer.
size_t fdwatch_unwinder_walk(
    fdwatch_unwinder *unwinder, const uint64_t registers[FDWATCH_UNWIND_REGISTERS], const uint8_t *stack,
    size_t stack_bytes, uint64_t *addresses, size_t room);
/// A C++ or Swift name as people write it, to be freed; NULL where it is none.
char *fdwatch_demangled(const char *name);

#endif
