//! Types and programs: loaded, run by hand, asked for what they cost.

use super::object::{half, object_info};
use super::{NAME_LEN, address, address_mut, bpf, object_name};
use crate::sys::owned;
use awl_compiler::bpf::Insn;
use aya_obj::generated::{bpf_cmd, bpf_func_info, bpf_insn, bpf_line_info, bpf_prog_info};
use std::ffi::CStr;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

#[repr(C)]
#[derive(Default)]
struct BtfLoad {
    btf: u64,
    btf_log_buf: u64,
    btf_size: u32,
    btf_log_size: u32,
    btf_log_level: u32,
    _pad: u32,
}

/// Loads types. `log` gets the kernel's words where it is given.
pub fn btf_load(bytes: &[u8], log: Option<&mut [u8]>) -> io::Result<OwnedFd> {
    let mut attr = BtfLoad { btf: address(bytes), btf_size: bytes.len() as u32, ..BtfLoad::default() };
    if let Some(log) = log {
        attr.btf_log_size = log.len() as u32;
        attr.btf_log_buf = address_mut(log);
        attr.btf_log_level = 1;
    }
    // SAFETY: both buffers live through the call and have the lengths given.
    owned(unsafe { bpf(bpf_cmd::BPF_BTF_LOAD, &mut attr) }?)
}

/// The types of a module of the kernel (5.11).
pub fn module_btf(name: &str) -> io::Result<OwnedFd> {
    #[repr(C)]
    #[derive(Default)]
    struct NextId {
        id: u32,
        next_id: u32,
        flags: u32,
    }
    #[repr(C)]
    #[derive(Default)]
    struct BtfInfo {
        btf: u64,
        btf_size: u32,
        id: u32,
        name: u64,
        name_len: u32,
        kernel: u32,
    }
    #[repr(C)]
    struct GetInfo {
        bpf_fd: u32,
        info_len: u32,
        info: u64,
    }
    let mut next = NextId::default();
    loop {
        // SAFETY: the attributes hold no address.
        unsafe { bpf(bpf_cmd::BPF_BTF_GET_NEXT_ID, &mut next) }?;
        next.id = next.next_id;
        let mut by_id = NextId { id: next.id, ..NextId::default() };
        // SAFETY: as above.
        let fd = match unsafe { bpf(bpf_cmd::BPF_BTF_GET_FD_BY_ID, &mut by_id) } {
            Ok(fd) => owned(fd)?,
            // It went away meanwhile.
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => continue,
            Err(e) => return Err(e),
        };
        let mut text = [0u8; 64];
        let mut info = BtfInfo { name: address_mut(&mut text), name_len: text.len() as u32, ..BtfInfo::default() };
        let mut attr = GetInfo { bpf_fd: fd.as_raw_fd() as u32, info_len: size_of::<BtfInfo>() as u32, info: address_mut(&mut info) };
        // SAFETY: the kernel writes the structure and at most `name_len` bytes of the text.
        unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
        if info.kernel != 0 && text.split(|b| *b == 0).next() == Some(name.as_bytes()) {
            return Ok(fd);
        }
    }
}

/// What `PROG_LOAD` is told.
#[derive(Clone, Copy, Debug)]
pub struct ProgSpec<'a> {
    pub name: &'a str,
    /// `enum bpf_prog_type`
    pub kind: u32,
    /// `enum bpf_attach_type`, or 0
    pub expected_attach_type: u32,
    /// `BPF_F_SLEEPABLE` and the like
    pub flags: u32,
    /// type (in vmlinux where `attach_btf` is none) that a tracing program is for, or 0
    pub attach_btf_id: u32,
    /// types of the module (5.11), or the program, that `attach_btf_id` is of
    pub attach_btf: Option<BorrowedFd<'a>>,
    pub insns: &'a [bpf_insn],
    pub license: &'a CStr,
    /// types with func_info and line_info
    pub btf: Option<BorrowedFd<'a>>,
    pub func_info: &'a [bpf_func_info],
    pub line_info: &'a [bpf_line_info],
}

impl<'a> ProgSpec<'a> {
    /// Of a kind that is for nothing in particular, without types.
    pub fn new(name: &'a str, kind: u32, insns: &'a [bpf_insn]) -> ProgSpec<'a> {
        ProgSpec {
            name,
            kind,
            expected_attach_type: 0,
            flags: 0,
            attach_btf_id: 0,
            attach_btf: None,
            insns,
            license: c"GPL",
            btf: None,
            func_info: &[],
            line_info: &[],
        }
    }
}

#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; NAME_LEN],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
    attach_btf_obj_fd: u32,
    /// CO-RE relocations: none. Named so that no padding is left to chance.
    core_relo_cnt: u32,
}

/// Loads a program. `log` gets the verifier's words (level 1) where it is given; `ENOSPC`: it was too short for them.
/// `kern_version` stays 0: the kernel has not looked at it since 5.0.
pub fn prog_load(spec: &ProgSpec, log: Option<&mut [u8]>) -> io::Result<OwnedFd> {
    let mut attr = ProgLoad {
        prog_type: spec.kind,
        insn_cnt: spec.insns.len() as u32,
        insns: address(spec.insns),
        license: address(spec.license.to_bytes_with_nul()),
        prog_name: object_name(spec.name),
        expected_attach_type: spec.expected_attach_type,
        prog_flags: spec.flags,
        attach_btf_id: spec.attach_btf_id,
        attach_btf_obj_fd: spec.attach_btf.map_or(0, |fd| fd.as_raw_fd() as u32),
        ..ProgLoad::default()
    };
    if let Some(btf) = spec.btf {
        attr.prog_btf_fd = btf.as_raw_fd() as u32;
        if !spec.func_info.is_empty() {
            attr.func_info = address(spec.func_info);
            attr.func_info_cnt = spec.func_info.len() as u32;
            attr.func_info_rec_size = size_of::<bpf_func_info>() as u32;
        }
        if !spec.line_info.is_empty() {
            attr.line_info = address(spec.line_info);
            attr.line_info_cnt = spec.line_info.len() as u32;
            attr.line_info_rec_size = size_of::<bpf_line_info>() as u32;
        }
    }
    if let Some(log) = log {
        attr.log_size = log.len() as u32;
        attr.log_buf = address_mut(log);
        attr.log_level = 1;
    }
    // The verifier gives up with EAGAIN when a signal is pending, whatever signal that is.
    for _ in 0..5 {
        // SAFETY: instructions, license, infos and the log live through the call and have the lengths given.
        match unsafe { bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr) } {
            Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => {}
            r => return owned(r?),
        }
    }
    Err(io::Error::from_raw_os_error(libc::EAGAIN))
}

/// An instruction of ours as the kernel takes it.
pub fn insn(i: Insn) -> bpf_insn {
    bpf_insn { code: i.code, _bitfield_align_1: [], _bitfield_1: bpf_insn::new_bitfield_1(i.dst, i.src), off: i.off, imm: i.imm }
}

#[repr(C)]
#[derive(Default)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    _pad: u32,
}

/// Runs a raw tracepoint program once, now, on this CPU, with twelve zeros as its arguments. Gives what it returned. (5.10)
pub fn test_run(prog: BorrowedFd) -> io::Result<u32> {
    let ctx = [0u64; 12];
    let mut attr =
        TestRun { prog_fd: prog.as_raw_fd() as u32, ctx_in: address(&ctx), ctx_size_in: size_of_val(&ctx) as u32, ..TestRun::default() };
    // SAFETY: the context lives through the call and has the length given.
    unsafe { bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr) }?;
    Ok(attr.retval)
}

/// Runs a program that is itself a system call (5.14) once, now. It may change the words, which are its context. Gives what it
/// returned.
pub fn run_syscall(prog: BorrowedFd, context: &mut [u64]) -> io::Result<u32> {
    let mut attr = TestRun {
        prog_fd: prog.as_raw_fd() as u32,
        ctx_size_in: size_of_val(context) as u32,
        ctx_in: address_mut(context),
        ..TestRun::default()
    };
    // SAFETY: the context lives through the call and has the length given; the kernel writes back as much.
    unsafe { bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr) }?;
    Ok(attr.retval)
}

/// What a packet program made of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketRun {
    pub verdict: u32,
    /// the packet afterwards
    pub packet: Vec<u8>,
    /// ns for one run, on the average of `repeat`
    pub ns: u32,
}

/// Runs a packet program on a packet made by hand, `repeat` times.
pub fn test_packet(prog: BorrowedFd, packet: &[u8], repeat: u32) -> io::Result<PacketRun> {
    let mut out = vec![0; packet.len() + 512];
    let mut attr = TestRun {
        prog_fd: prog.as_raw_fd() as u32,
        data_in: address(packet),
        data_size_in: packet.len() as u32,
        data_out: address_mut(out.as_mut_slice()),
        data_size_out: out.len() as u32,
        repeat,
        ..TestRun::default()
    };
    // SAFETY: both buffers live through the call and have the lengths given.
    unsafe { bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr) }?;
    out.truncate(attr.data_size_out as usize);
    Ok(PacketRun { verdict: attr.retval, packet: out, ns: attr.duration })
}

/// The part of `struct bpf_prog_info` that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgInfo {
    /// ns and runs; 0 unless `kernel.bpf_stats_enabled`
    pub run_time_ns: u64,
    pub run_count: u64,
    /// runs left out because the program (or, in some places, any program) ran on that CPU already
    pub recursion_misses: u64,
    /// instructions that the verifier looked at (5.16)
    pub verified_insns: u32,
    /// bytes of the instructions after the verifier's rewriting
    pub xlated_len: u32,
}

/// Runs of programs and their time are counted while the descriptor is open (5.8; `kernel.bpf_stats_enabled` is the same).
pub fn enable_stats() -> io::Result<OwnedFd> {
    // `BPF_STATS_RUN_TIME`
    let mut kind = 0u32;
    // SAFETY: the kernel reads one number.
    owned(unsafe { bpf(bpf_cmd::BPF_ENABLE_STATS, &mut kind) }?)
}

pub fn prog_info(prog: BorrowedFd) -> io::Result<ProgInfo> {
    // As words, so that no field is read through a pointer: all that is asked for is 8-aligned or a half of such a word.
    let mut info = [0u64; size_of::<bpf_prog_info>() / 8];
    object_info(prog, &mut info)?;
    let half = |offset: usize| half(&info, offset);
    Ok(ProgInfo {
        run_time_ns: info[offset_of!(bpf_prog_info, run_time_ns) / 8],
        run_count: info[offset_of!(bpf_prog_info, run_cnt) / 8],
        recursion_misses: info[offset_of!(bpf_prog_info, recursion_misses) / 8],
        verified_insns: half(offset_of!(bpf_prog_info, verified_insns)),
        xlated_len: half(offset_of!(bpf_prog_info, xlated_prog_len)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets of the uapi header.
    #[test]
    fn attributes_lie_as_the_kernel_reads_them() {
        assert_eq!(offset_of!(ProgLoad, prog_name), 48);
        assert_eq!(offset_of!(ProgLoad, func_info), 80);
        assert_eq!(offset_of!(ProgLoad, attach_btf_id), 108);
        assert_eq!(offset_of!(TestRun, ctx_in), 48);
    }
}
