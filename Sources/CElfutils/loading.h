// SPDX-License-Identifier: Apache-2.0
// libdw, as it was loaded.

#ifndef FDWATCH_CELFUTILS_LOADING_H
#define FDWATCH_CELFUTILS_LOADING_H

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <gelf.h>

// Every function by its own type, so that a newer header cannot disagree with us unnoticed.
#define FUNCTIONS(USE) \
    USE(dwfl_begin) USE(dwfl_end) USE(dwfl_report_begin) USE(dwfl_report_elf) USE(dwfl_report_end) \
    USE(dwfl_module_build_id) USE(dwfl_module_getelf) USE(dwfl_module_addrname) USE(dwfl_module_addrdie) \
    USE(dwfl_module_nextcu) USE(dwarf_haspc) USE(dwarf_getsrc_die) USE(dwarf_lineno) USE(dwarf_linesrc) USE(dwfl_module_getdwarf) USE(dwfl_build_id_find_elf) \
    USE(dwfl_build_id_find_debuginfo) USE(dwfl_offline_section_address) USE(dwarf_child) USE(dwarf_siblingof) USE(dwarf_getscopes_die) \
    USE(dwarf_dieoffset) USE(dwarf_offdie) USE(dwarf_tag) USE(dwarf_attr) USE(dwarf_attr_integrate) \
    USE(dwarf_formudata) USE(dwarf_formstring) USE(dwarf_getsrcfiles) USE(dwarf_filesrc) \
    USE(elf_getphdrnum) USE(gelf_getphdr) USE(elf_nextscn) USE(gelf_getshdr) USE(gelf_getchdr) USE(elf_getshdrstrndx) \
    USE(elf_strptr) USE(elf_begin) USE(elf_end) USE(gelf_getehdr) USE(elf_version) USE(dwfl_attach_state) USE(dwfl_getthread_frames) \
    USE(dwfl_frame_pc) USE(dwfl_thread_state_registers)

struct fdwatch_dw {
#define FIELD(name) __typeof__(&name) name;
    FUNCTIONS(FIELD)
};
extern struct fdwatch_dw fdwatch_dw;
#define dw fdwatch_dw

/// Loads it, once. 0 where there is none.
int fdwatch_load_dw(void);
/// Whether sections of a file would expand to more than is read of one.
int fdwatch_is_bomb(Elf *file);

#endif
