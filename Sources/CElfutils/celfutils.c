// SPDX-License-Identifier: Apache-2.0
#if !__has_include(<elfutils/libdwfl.h>)
#error "elfutils' headers are missing. Install them: apt-get install libdw-dev"
#endif
#define _GNU_SOURCE

#include "celfutils.h"
#include "loading.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fdwatch_dw fdwatch_dw;

static int is_loaded = 0;
static char *(*demangle)(const char *, char *, size_t *, int *);

static void load_once(void) {
    demangle = (char *(*)(const char *, char *, size_t *, int *))dlsym(RTLD_DEFAULT, "__cxa_demangle");
    void *library = dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
#define FIND(name) \
    if (!(dw.name = (__typeof__(&name))dlsym(library, #name))) return;
    FUNCTIONS(FIND)
    is_loaded = 1;
}

int fdwatch_load_dw(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_once);
    return is_loaded;
}

struct fdwatch_elf {
    Dwfl *dwfl;
    Dwfl_Module *module;
    Dwfl_Callbacks callbacks;
    // Its debug data are not read.
    int has_no_dwarf;
};

// Whether its sections are compressed so that they are not to be expanded: 4.6 MB may hold 2.7 GB. A Go program of 50 MB
// has 40 MB of such data.
enum { MOST_EXPANDED = 64 << 20 };

int fdwatch_is_bomb(Elf *file) {
    uint64_t expanded = 0;
    size_t names = 0;
    if (dw.elf_getshdrstrndx(file, &names) != 0) return 1;
    for (Elf_Scn *section = dw.elf_nextscn(file, NULL); section; section = dw.elf_nextscn(file, section)) {
        GElf_Shdr header;
        if (!dw.gelf_getshdr(section, &header)) return 1;
        if (header.sh_flags & SHF_COMPRESSED) {
            GElf_Chdr how;
            if (!dw.gelf_getchdr(section, &how) || how.ch_size > MOST_EXPANDED) return 1;
            expanded += how.ch_size;
            if (expanded > MOST_EXPANDED) return 1;
        }
        // The older way, which says how much it is behind its own magic.
        const char *name = dw.elf_strptr(file, names, header.sh_name);
        if (name && strncmp(name, ".zdebug", 7) == 0) return 1;
    }
    return 0;
}

fdwatch_elf *fdwatch_elf_open(int descriptor, const char *name) {
    fdwatch_elf *elf = fdwatch_load_dw() ? calloc(1, sizeof *elf) : NULL;
    if (!elf) {
        close(descriptor);
        return NULL;
    }
    // By build id below /usr/lib/debug only: nothing is fetched from a network.
    elf->callbacks.find_elf = dw.dwfl_build_id_find_elf;
    elf->callbacks.find_debuginfo = dw.dwfl_build_id_find_debuginfo;
    elf->callbacks.section_address = dw.dwfl_offline_section_address;
    elf->dwfl = dw.dwfl_begin(&elf->callbacks);
    if (elf->dwfl) {
        dw.dwfl_report_begin(elf->dwfl);
        elf->module = dw.dwfl_report_elf(elf->dwfl, name, name, descriptor, 0, 1);
        dw.dwfl_report_end(elf->dwfl, NULL, NULL);
    }
    if (!elf->module) {
        close(descriptor);
        fdwatch_elf_close(elf);
        return NULL;
    }
    GElf_Addr bias;
    Elf *file = dw.dwfl_module_getelf(elf->module, &bias);
    elf->has_no_dwarf = !file || fdwatch_is_bomb(file);
    return elf;
}

void fdwatch_elf_close(fdwatch_elf *elf) {
    if (elf && elf->dwfl) dw.dwfl_end(elf->dwfl);
    free(elf);
}

size_t fdwatch_elf_build_id(fdwatch_elf *elf, const uint8_t **bytes) {
    GElf_Addr address;
    GElf_Addr bias;
    // Read with the file.
    if (!dw.dwfl_module_getelf(elf->module, &bias)) return 0;
    int size = dw.dwfl_module_build_id(elf->module, bytes, &address);
    return size > 0 ? (size_t)size : 0;
}

// The address at which an offset of the file is meant to lie.
static int address_of(fdwatch_elf *elf, uint64_t offset, GElf_Addr *address) {
    GElf_Addr bias = 0;
    Elf *file = dw.dwfl_module_getelf(elf->module, &bias);
    size_t count = 0;
    if (!file || dw.elf_getphdrnum(file, &count) != 0) return 0;
    for (size_t index = 0; index < count && index < 1000; index++) {
        GElf_Phdr header;
        if (!dw.gelf_getphdr(file, (int)index, &header) || header.p_type != PT_LOAD) continue;
        if (offset < header.p_offset || offset - header.p_offset >= header.p_filesz) continue;
        *address = offset - header.p_offset + header.p_vaddr + bias;
        return 1;
    }
    return 0;
}

static const char *name_of(Dwarf_Die *die) {
    Dwarf_Attribute attribute;
    // With its parameters, where the language has such names.
    if (dw.dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute)) {
        const char *name = dw.dwarf_formstring(&attribute);
        if (name) return name;
    }
    return dw.dwarf_attr_integrate(die, DW_AT_name, &attribute) ? dw.dwarf_formstring(&attribute) : NULL;
}

static Dwarf_Word number_of(Dwarf_Die *die, unsigned name) {
    Dwarf_Attribute attribute;
    Dwarf_Word value = 0;
    if (dw.dwarf_attr(die, name, &attribute)) dw.dwarf_formudata(&attribute, &value);
    return value;
}

// The compilation unit of an address. Not all compilers write the table of addresses that makes this quick.
static Dwarf_Die *unit_of(fdwatch_elf *elf, GElf_Addr address, Dwarf_Addr *bias) {
    Dwarf_Die *unit = dw.dwfl_module_addrdie(elf->module, address, bias);
    if (unit) return unit;
    while ((unit = dw.dwfl_module_nextcu(elf->module, unit, bias)) != NULL) {
        if (dw.dwarf_haspc(unit, address - *bias) == 1) return unit;
    }
    return NULL;
}

// What stands around functions and has no addresses itself: modules in Swift, namespaces and types in C++.
static int is_container(int tag) {
    switch (tag) {
    case DW_TAG_module:
    case DW_TAG_namespace:
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
    case DW_TAG_enumeration_type:
    case DW_TAG_interface_type: return 1;
    default: return 0;
    }
}

// The innermost entry below `die` that has the address. dwarf_getscopes would not look into containers.
static int innermost_at(Dwarf_Die *die, Dwarf_Addr address, int depth, Dwarf_Die *found) {
    Dwarf_Die child;
    if (depth > 64 || dw.dwarf_child(die, &child) != 0) return 0;
    do {
        if (dw.dwarf_haspc(&child, address) == 1) {
            *found = child;
            innermost_at(&child, address, depth + 1, found);
            return 1;
        }
        if (is_container(dw.dwarf_tag(&child)) && innermost_at(&child, address, depth + 1, found)) return 1;
    } while (dw.dwarf_siblingof(&child, &child) == 0);
    return 0;
}

// The frames that were inlined at an address, and the function that they were inlined into.
static size_t inlined(fdwatch_elf *elf, GElf_Addr address, fdwatch_frame *frames, size_t room) {
    Dwarf_Addr bias = 0;
    Dwarf_Die *unit = unit_of(elf, address, &bias);
    Dwarf *dwarf = dw.dwfl_module_getdwarf(elf->module, &bias);
    Dwarf_Die *scopes = NULL;
    Dwarf_Die place;
    if (!unit || !dwarf || !innermost_at(unit, address - bias, 0, &place)) return 0;
    Dwarf_Die innermost;
    Dwarf_Die *found = dw.dwarf_offdie(dwarf, dw.dwarf_dieoffset(&place), &innermost);
    int count = found ? dw.dwarf_getscopes_die(found, &scopes) : 0;
    size_t used = 0;
    Dwarf_Files *files = NULL;
    dw.dwarf_getsrcfiles(unit, &files, NULL);
    const char *file = NULL;
    int line = 0;
    Dwarf_Line *source = dw.dwarf_getsrc_die(unit, address - bias);
    if (source) {
        file = dw.dwarf_linesrc(source, NULL, NULL);
        dw.dwarf_lineno(source, &line);
    }
    for (int index = 0; index < count && used < room; index++) {
        int tag = dw.dwarf_tag(&scopes[index]);
        if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram) continue;
        const char *name = name_of(&scopes[index]);
        if (!name) break;
        frames[used++] = (fdwatch_frame){name, file, line};
        if (tag == DW_TAG_subprogram) break;
        // Where it was inlined is where the next one was at the time.
        Dwarf_Word number = number_of(&scopes[index], DW_AT_call_file);
        file = files && number > 0 ? dw.dwarf_filesrc(files, number, NULL, NULL) : NULL;
        line = (int)number_of(&scopes[index], DW_AT_call_line);
    }
    free(scopes);
    return used;
}

size_t fdwatch_elf_frames(fdwatch_elf *elf, uint64_t offset, fdwatch_frame *frames, size_t room) {
    GElf_Addr address = 0;
    if (room == 0 || !address_of(elf, offset, &address)) return 0;
    size_t count = elf->has_no_dwarf ? 0 : inlined(elf, address, frames, room);
    if (count > 0) return count;
    const char *name = dw.dwfl_module_addrname(elf->module, address);
    if (!name) return 0;
    frames[0] = (fdwatch_frame){name, NULL, 0};
    return 1;
}

// Of Swift's runtime, which whoever links this has.
char *swift_demangle(const char *name, size_t length, char *text, size_t *size, uint32_t flags);

char *fdwatch_demangled(const char *name) {
    fdwatch_load_dw();
    if (strncmp(name, "$s", 2) == 0) return swift_demangle(name, strlen(name), NULL, NULL, 0);
    if (!demangle || strncmp(name, "_Z", 2) != 0) return NULL;
    int status = 0;
    return demangle(name, NULL, NULL, &status);
}
