// SPDX-License-Identifier: Apache-2.0
// Stacks that were copied, walked by libdwfl: from .eh_frame, or by frame pointers where there is none, as in Go.
#define _GNU_SOURCE

#include "celfutils.h"
#include "loading.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Of one thread, in a process that libdwfl only ever hears of by this number.
enum { THREAD = 1 };
// The stack pointer, as DWARF numbers it.
enum { STACK_POINTER = 7 };

struct fdwatch_unwinder {
    Dwfl *dwfl;
    Dwfl_Callbacks callbacks;
    int is_ready, is_attached;
    // The stack that is walked.
    const uint64_t *registers;
    const uint8_t *stack;
    size_t stack_bytes;
    uint64_t *addresses;
    size_t count, room;
};

// No file is looked for: neither the program's own nor one with debug data, on no disk and in no network.
static int find_no_elf(
    Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base, char **file, Elf **elf) {
    (void)module, (void)data, (void)name, (void)base, (void)file, (void)elf;
    return -1;
}

static int find_no_debuginfo(
    Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base, const char *file, const char *link,
    GElf_Word checksum, char **found) {
    (void)module, (void)data, (void)name, (void)base, (void)file, (void)link, (void)checksum, (void)found;
    return -1;
}

static pid_t next_thread(Dwfl *dwfl, void *argument, void **thread) {
    (void)dwfl;
    if (*thread) return 0;
    *thread = argument;
    return THREAD;
}

static bool get_thread(Dwfl *dwfl, pid_t number, void *argument, void **thread) {
    (void)dwfl, (void)number;
    *thread = argument;
    return true;
}

static bool read_memory(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *word, void *argument) {
    (void)dwfl;
    const fdwatch_unwinder *unwinder = argument;
    uint64_t place = address - unwinder->registers[STACK_POINTER];
    if (unwinder->stack_bytes < sizeof *word || place > unwinder->stack_bytes - sizeof *word) return false;
    memcpy(word, unwinder->stack + place, sizeof *word);
    return true;
}

static bool set_registers(Dwfl_Thread *thread, void *argument) {
    const fdwatch_unwinder *unwinder = argument;
    Dwarf_Word words[FDWATCH_UNWIND_REGISTERS];
    for (int index = 0; index < FDWATCH_UNWIND_REGISTERS; index++) words[index] = unwinder->registers[index];
    return dw.dwfl_thread_state_registers(thread, 0, FDWATCH_UNWIND_REGISTERS, words);
}

static int take_frame(Dwfl_Frame *frame, void *argument) {
    fdwatch_unwinder *unwinder = argument;
    Dwarf_Addr address;
    bool is_activation;
    if (unwinder->count >= unwinder->room || !dw.dwfl_frame_pc(frame, &address, &is_activation)) return DWARF_CB_ABORT;
    // A return address may be that of the next function, or of none.
    unwinder->addresses[unwinder->count++] = is_activation ? address : address - 1;
    return unwinder->count < unwinder->room ? DWARF_CB_OK : DWARF_CB_ABORT;
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
    .next_thread = next_thread,
    .get_thread = get_thread,
    .memory_read = read_memory,
    .set_initial_registers = set_registers,
};

fdwatch_unwinder *fdwatch_unwinder_new(void) {
    fdwatch_unwinder *unwinder = fdwatch_load_dw() ? calloc(1, sizeof *unwinder) : NULL;
    if (!unwinder) return NULL;
    dw.elf_version(EV_CURRENT);
    unwinder->callbacks.find_elf = find_no_elf;
    unwinder->callbacks.find_debuginfo = find_no_debuginfo;
    unwinder->dwfl = dw.dwfl_begin(&unwinder->callbacks);
    if (!unwinder->dwfl) {
        free(unwinder);
        return NULL;
    }
    dw.dwfl_report_begin(unwinder->dwfl);
    return unwinder;
}

void fdwatch_unwinder_free(fdwatch_unwinder *unwinder) {
    if (unwinder) dw.dwfl_end(unwinder->dwfl);
    free(unwinder);
}

// By how much the file's own addresses and those in the process differ, from where a part of it is mapped.
static int bias_of(Elf *file, uint64_t start, uint64_t offset, GElf_Addr *bias) {
    size_t count = 0;
    if (!file || dw.elf_getphdrnum(file, &count) != 0) return 0;
    for (size_t index = 0; index < count && index < 1000; index++) {
        GElf_Phdr header;
        if (!dw.gelf_getphdr(file, (int)index, &header) || header.p_type != PT_LOAD || !(header.p_flags & PF_X)) continue;
        // A mapping begins at a page, a segment anywhere in it.
        uint64_t begin = header.p_offset & ~UINT64_C(4095);
        if (offset < begin || offset - begin >= header.p_filesz + (header.p_offset - begin)) continue;
        *bias = start - (header.p_vaddr - (header.p_offset - begin) + (offset - begin));
        return 1;
    }
    return 0;
}

int fdwatch_unwinder_add(
    fdwatch_unwinder *unwinder, int descriptor, const char *name, uint64_t start, uint64_t offset) {
    GElf_Addr bias = 0;
    int is_good = 0;
    Elf *file = unwinder->is_ready ? NULL : dw.elf_begin(descriptor, ELF_C_READ_MMAP, NULL);
    if (file) {
        GElf_Ehdr header;
        // For x86-64 alone are the registers in order.
        is_good = dw.gelf_getehdr(file, &header) && header.e_machine == EM_X86_64 && !fdwatch_is_bomb(file) &&
                  bias_of(file, start, offset, &bias);
        dw.elf_end(file);
    }
    // Takes over the descriptor where it succeeds.
    if (is_good && dw.dwfl_report_elf(unwinder->dwfl, name, name, descriptor, bias, 1)) return 1;
    close(descriptor);
    return 0;
}

size_t fdwatch_unwinder_walk(
    fdwatch_unwinder *unwinder, const uint64_t registers[FDWATCH_UNWIND_REGISTERS], const uint8_t *stack,
    size_t stack_bytes, uint64_t *addresses, size_t room) {
    if (!unwinder->is_ready) {
        unwinder->is_ready = 1;
        unwinder->is_attached = dw.dwfl_report_end(unwinder->dwfl, NULL, NULL) == 0 &&
                                dw.dwfl_attach_state(unwinder->dwfl, NULL, THREAD, &thread_callbacks, unwinder);
    }
    unwinder->registers = registers;
    unwinder->stack = stack;
    unwinder->stack_bytes = stack_bytes;
    unwinder->addresses = addresses;
    unwinder->count = 0;
    unwinder->room = room;
    if (unwinder->is_attached) dw.dwfl_getthread_frames(unwinder->dwfl, THREAD, take_frame, unwinder);
    // Where nothing is known of its first frame, that itself is known.
    if (unwinder->count == 0 && room > 0) addresses[unwinder->count++] = registers[FDWATCH_UNWIND_REGISTERS - 1];
    return unwinder->count;
}
