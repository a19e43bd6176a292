#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A hostile neighbour: what an unprivileged user can do to a daemon that looks at all processes.

neighbour.py ATTACK [ARGUMENT ...]: prints "ready" once the attack stands, and goes on until its standard input ends.
Attacks that need a file beside the process write it below the folder that is given.
"""
import ctypes
import fcntl
import gzip
import mmap
import os
import random
import resource
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib


def ready():
    print("ready", flush=True)
    sys.stdin.read()


def leak(pause=0.02, most=200_000):
    """Opens a descriptor now and then and closes none, so that somebody asks for profiles."""

    def run():
        held = []
        while len(held) < most:
            try:
                held.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass
            time.sleep(pause)

    threading.Thread(target=run, daemon=True).start()


# Times that no calendar has


def times(folder):
    """A memfd, a profile and a map of a compiler's code from the year 5138, and from before 1677."""
    far = 99_999_999_999
    for name, when in (("leakprofile", far), ("leakprofile", -(1 << 40))):
        memory = os.memfd_create(name, os.MFD_ALLOW_SEALING)
        os.ftruncate(memory, 1 << 16)
        os.utime(memory, (when, when))
    for path in (f"{folder}/profile", f"/tmp/perf-{os.getpid()}.map"):
        with open(path, "w") as file:
            file.write("file profile: total 1\n1 @ 0x1\n")
        os.utime(path, (far, far))
    leak()
    ready()
    os.unlink(f"/tmp/perf-{os.getpid()}.map")


# Tables of LeakProfile's format (docs/leakprofile-format.md)


def table(entries, fill):
    """A table of this many entries, each with a stack of its own; without `fill` a file of holes that claims them."""
    entries = int(entries)
    stack_words = 4
    room = min((entries * stack_words + 2) * 8, 32 << 20) & ~7
    stacks = 512
    first = stacks + room
    size = max(first + entries * 32 + 4095 & ~4095, 1 << 16)
    memory = os.memfd_create("leakprofile", os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, size)
    header = [0] * 64
    header[0] = int.from_bytes(b"LEAKPROF", "little")
    header[1] = 1 | os.getpid() << 32
    header[2], header[4], header[5], header[6], header[7] = size, 384, stacks, room, first
    header[8], header[9] = 128 | 1 << 32, 32 | entries << 32
    header[16], header[24], header[32] = 1, room, entries
    os.pwrite(memory, struct.pack("<64Q", *header), 0)
    if fill == "full":
        os.pwrite(memory, b"file", 384 + 32)
        count = room // 8 // stack_words
        random_addresses = random.Random(1)
        words = []
        for index in range(count):
            words += [0, 2, random_addresses.getrandbits(46), random_addresses.getrandbits(46)]
        os.pwrite(memory, struct.pack(f"<{len(words)}Q", *words), stacks)
        rows = bytearray()
        for index in range(entries):
            stack = (1 + index % (count - 1)) * stack_words
            rows += struct.pack("<QQiIII", stack | 1 << 32, index, index, 1, 0, 0)
        os.pwrite(memory, bytes(rows), first)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    leak()
    ready()


def executable_pages():
    """Makes mmap(2) map a file as code: Python's own cannot tell where it put it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    return libc.mmap


def own_mappings():
    """What a text profile ends with, so that its addresses have files."""
    with open("/proc/self/maps") as file:
        return "MAPPED_LIBRARIES:\n" + file.read()


# Profiles


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value)


def message(field, body):
    return varint(field << 3 | 2) + varint(len(body)) + body


def profile_head(*strings):
    return message(1, number(1, 1) + number(2, 2)) + b"".join(
        message(6, text.encode()) for text in ("", "file", "count") + strings
    )


def frames(folder):
    """31 KiB whose samples, locations and lines multiply to gigabytes."""
    out = bytearray(profile_head("f"))
    out += message(5, number(1, 1) + number(2, 3) + number(4, 1))
    for location in range(1, 17):
        lines = b"".join(message(4, number(1, 1) + number(2, line + location)) for line in range(1000))
        out += message(4, number(1, location) + lines)
    for sample in range(20_000):
        places = b"".join(varint((sample >> shift & 15) + 1) for shift in range(0, 32, 4))
        out += message(2, message(1, places) + message(2, varint(1)))
    with open(f"{folder}/profile", "wb") as file:
        file.write(gzip.compress(bytes(out)))
    leak()
    ready()


def labels(folder):
    """250,000 samples, each with a stack and a label of its own."""
    out = bytearray(profile_head("fd"))
    for location in range(1, 513):
        out += message(4, number(1, location) + number(3, location << 12))
    for sample in range(250_000):
        stack = varint(sample % 512 + 1) + varint(sample // 512 % 512 + 1)
        out += message(2, message(1, stack) + message(2, varint(1)) + message(3, number(1, 3) + number(3, sample)))
    with open(f"{folder}/profile", "wb") as file:
        file.write(gzip.compress(bytes(out)))
    leak()
    ready()


def addresses(folder):
    """A text of 540,000 addresses, and tens of thousands of mappings to look them up in."""
    map_file = executable_pages()
    code = os.open(sys.executable, os.O_RDONLY)
    # Two protections in turn: so none is joined with its neighbour.
    for index in range(60_000):
        map_file(None, 4096, mmap.PROT_READ | (mmap.PROT_EXEC if index % 2 else 0), mmap.MAP_PRIVATE, code, 0)
    chosen = random.Random(2)
    with open(f"{folder}/profile", "w") as file:
        file.write("file profile: total 30000\n")
        for _ in range(9_000):
            file.write("1 @ " + " ".join(hex(chosen.getrandbits(46)) for _ in range(60)) + "\n\n")
        file.write(own_mappings())
    leak()
    ready()


def compiler_map(folder):
    """63 MiB of names for addresses, and a profile that asks for them."""
    path = f"/tmp/perf-{os.getpid()}.map"
    with open(path, "w") as file:
        index = 0
        while file.tell() < 63 << 20:
            file.write("".join(f"{0x7F0000000000 + i * 16:x} 10 f{i}\n" for i in range(index, index + 50_000)))
            index += 50_000
    with open(f"{folder}/profile", "w") as file:
        file.write("file profile: total 1\n1 @ 0x7f0000000011 0x7f0000000021\n\n")
    leak()
    ready()
    os.unlink(path)


# ELF files


def elf(folder, kind):
    """A file of this kind, mapped as code, whose addresses a profile asks for."""
    path = f"{folder}/{kind}.elf"
    {"deep": deep, "symbol": symbol, "compressed": compressed, "shrinks": whole}[kind](path)
    file = os.open(path, os.O_RDWR)
    start = executable_pages()(None, 1 << 16, mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_PRIVATE, file, 0)
    text = int(subprocess.check_output(["readelf", "-SW", path]).decode().split(" .text ")[1].split()[2], 16)
    if kind == "shrinks":

        def run():
            while True:
                os.ftruncate(file, 4096)
                time.sleep(0.003)
                shutil.copyfile(path + ".whole", path)
                time.sleep(0.003)

        shutil.copyfile(path, path + ".whole")
        threading.Thread(target=run, daemon=True).start()
    with open(f"{folder}/profile", "w") as out:
        out.write("file profile: total 400\n")
        for place in range(400):
            out.write(f"1 @ {start + text + place + 1:#x}\n\n")
        out.write(own_mappings())
    leak()
    ready()


def assemble(path, source, *options):
    subprocess.run(
        ["cc", "-shared", "-nostdlib", "-x", "assembler", "-", "-o", path, *options], input=source.encode(), check=True)


FUNCTION = ".globl f\n.type f,@function\nf:\n.fill 512,1,0x90\nret\n.Lend:\n.size f,.-f\n"


def debug_sections(body):
    """A compilation unit of `f` with these entries in it. Abbreviation 2 is a function, 3 a block."""
    return (
        ".text\n" + FUNCTION + """
.section .debug_abbrev,"",@progbits
.uleb128 1, 0x11
.byte 1
.uleb128 0x11, 1, 0x12, 7, 0x03, 8
.byte 0, 0
.uleb128 2, 0x2e
.byte 1
.uleb128 0x11, 1, 0x12, 7, 0x03, 8
.byte 0, 0
.uleb128 3, 0x0b
.byte 1
.uleb128 0x11, 1, 0x12, 7
.byte 0, 0
.byte 0
.section .debug_info,"",@progbits
.long .Ltail-.Lhead
.Lhead:
.value 4
.long 0
.byte 8
.uleb128 1
.quad f, 513
.string "unit.c"
.uleb128 2
.quad f, 513
.string "f"
""" + body + "\n.byte 0\n.byte 0\n.Ltail:\n")


def deep(path):
    """A million blocks, each in the one before it."""
    assemble(path, debug_sections(".rept 1000000\n.uleb128 3\n.quad f, 513\n.endr\n.fill 1000000,1,0"))


def symbol(path):
    """Symbols whose names have a mebibyte each."""
    names = "".join(
        f".globl {chr(97 + i) * (1 << 20)}\n.type {chr(97 + i) * (1 << 20)},@function\n{chr(97 + i) * (1 << 20)}:\n"
        f".fill 8,1,0x90\n.size {chr(97 + i) * (1 << 20)},8\n" for i in range(16))
    assemble(path, ".text\n" + names)


def compressed(path):
    """Debug data that say that they expand to gigabytes."""
    assemble(path, debug_sections(".zero 64"), "-Wl,--compress-debug-sections=none")
    packer = zlib.compressobj(6)
    packed = b"".join([packer.compress(bytes(1 << 20)) for _ in range(1024)] + [packer.flush()])
    with open(path + ".section", "wb") as file:
        # Elf64_Chdr: ELFCOMPRESS_ZLIB, reserved, size, alignment.
        file.write(struct.pack("<IIQQ", 1, 0, 1 << 30, 1) + packed)
    subprocess.run(["objcopy", f"--update-section=.debug_info={path}.section", path], check=True)
    with open(path, "r+b") as file:
        image = bytearray(file.read())
        place, = struct.unpack_from("<Q", image, 40)
        width, count, names = struct.unpack_from("<HHH", image, 58)
        strings, = struct.unpack_from("<Q", image, place + names * width + 24)
        for index in range(count):
            header = place + index * width
            name = strings + struct.unpack_from("<I", image, header)[0]
            if image[name:].startswith(b".debug_info\0"):
                flags, = struct.unpack_from("<Q", image, header + 8)
                struct.pack_into("<Q", image, header + 8, flags | 0x800)
        file.seek(0)
        file.write(image)


def whole(path):
    """A file with nothing wrong in it, as long as it is left alone."""
    assemble(path, debug_sections(".rept 20000\n.uleb128 3\n.quad f, 513\n.byte 0\n.endr"))


# Arguments, sockets


def arguments(count):
    """Replaced by a program with a megabyte of arguments."""
    then = "import sys; print('ready', flush=True); sys.stdin.read()"
    os.execv(sys.executable, [sys.executable, "-c", then] + ["a"] * int(count))


def slow(folder, index, size):
    """Answers for a profile with a long body, of which the last bytes never come."""
    listener = socket.socket(socket.AF_UNIX)
    path = f"{folder}/slow-{index}.sock"
    listener.bind(path)
    os.chmod(path, 0o777)
    listener.listen()

    def run():
        body = int(size)
        while True:
            client, _ = listener.accept()
            try:
                client.recv(4096)
                client.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {body}\r\n\r\n".encode())
                for _ in range(body // 65536 - 1):
                    client.sendall(random.randbytes(65536))
                time.sleep(3600)
            except OSError:
                pass

    threading.Thread(target=run, daemon=True).start()
    leak()
    ready()


def swap(path, victim):
    """Listens on a socket whose path then leads to another."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    os.unlink(path)
    os.symlink(victim, path)
    leak()
    ready()


def port(number_):
    """Listens on a port, and says in its environment what the test wants."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", int(number_)))
    listener.listen()
    leak()
    ready()


def many(count):
    """So many processes, each of which leaks under a name of its own."""
    children = []
    for index in range(int(count)):
        child = os.fork()
        if child == 0:
            with open("/proc/self/comm", "w") as name:
                name.write(f"neighbour{index}")
            held = []
            while True:
                try:
                    held.append(os.open("/dev/null", os.O_RDONLY))
                except OSError:
                    pass
                time.sleep(0.05)
        children.append(child)
    print("ready", flush=True)
    sys.stdin.read()
    for child in children:
        os.kill(child, 9)


def unlimited():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def descriptors(processes, each):
    """So many processes with so many descriptors each, and growing."""
    unlimited()
    done, told = os.pipe()
    for _ in range(int(processes)):
        if os.fork() == 0:
            file = os.open("/dev/null", os.O_RDONLY)
            for _ in range(int(each)):
                os.dup(file)
            leak()
            os.close(told)
            sys.stdin.read()
            os._exit(0)
    os.close(told)
    # It ends when all have what they are to have.
    os.read(done, 1)
    ready()


def paths(folder, count):
    """So many files of which each has a path of its own, nearly as long as there can be."""
    unlimited()
    os.chdir(folder)
    length = len(os.getcwd())
    while length < 3700:
        os.mkdir("d" * 240)
        os.chdir("d" * 240)
        length += 241
    for index in range(int(count)):
        os.open(f"{index:0100}", os.O_RDWR | os.O_CREAT, 0o600)
        os.unlink(f"{index:0100}")
    # Slowly: there is room for a few minutes of it.
    leak(0.05)
    ready()


def reports(path, processes):
    """So many processes, each of which reports twenty kinds of things, at as great a length as is taken."""
    done, told = os.pipe()
    for process in range(int(processes)):
        if os.fork() == 0:
            out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            out.connect(path)
            for kind in range(20):
                # Kinds differ in other things than numbers.
                name = "".join(chr(97 + int(digit)) for digit in f"{process}{kind:02}").ljust(60, "x")
                while True:
                    try:
                        out.send(name.encode() + "\U0001f600".encode() * 2000)
                        break
                    except OSError:
                        time.sleep(0.01)
                time.sleep(0.11)
            os.close(told)
            sys.stdin.read()
            os._exit(0)
    os.close(told)
    os.read(done, 1)
    ready()


def idle():
    leak()
    ready()


if __name__ == "__main__":
    ATTACKS = {
        "times": times, "table": table, "frames": frames, "labels": labels, "addresses": addresses,
        "compiler-map": compiler_map, "elf": elf, "arguments": arguments, "slow": slow, "swap": swap, "port": port,
        "many": many, "descriptors": descriptors, "paths": paths, "reports": reports,
        "idle": idle,
    }
    ATTACKS[sys.argv[1]](*sys.argv[2:])
