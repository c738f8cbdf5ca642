//! As much of bpf(2) as the tests need: load an object, run its programs, read its memory.

use awl_compiler::bpf::{Insn, insn};
use aya_obj::Map;
use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_map_type, bpf_prog_type};
use aya_obj::{Object, ProgramSection};
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

pub struct Loaded {
    pub maps: HashMap<String, OwnedFd>,
    pub programs: HashMap<String, OwnedFd>,
    value_sizes: HashMap<String, usize>,
    key_sizes: HashMap<String, usize>,
    /// bytes of ring buffers
    rings: HashMap<String, usize>,
}

/// A ring buffer in this process's memory.
pub struct Ring {
    consumer: *mut u64,
    producer: *const u64,
    data: *const u8,
    size: usize,
}

fn bpf(cmd: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i64> {
    // SAFETY: `attr` is as large as its type says, and its pointers are alive for the call.
    let r = unsafe { libc::syscall(libc::SYS_bpf, cmd as libc::c_long, std::ptr::from_mut(attr), size_of::<bpf_attr>()) };
    if r < 0 { Err(io::Error::last_os_error()) } else { Ok(r) }
}

fn fd(cmd: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    let n = bpf(cmd, attr)?;
    // SAFETY: the call gave a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(n as i32) })
}

fn zeroed() -> bpf_attr {
    // SAFETY: the kernel's structures are plain integers, and unused bytes must be zero.
    unsafe { std::mem::zeroed() }
}

/// May this process load programs? Prints why not; with `CI` set, that is a failure.
pub fn available() -> bool {
    let insns: [u64; 2] = [0xb7, 0x95];
    match load_program(bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT, &insns_of(&insns), None) {
        Ok(_) => true,
        Err(e) => {
            eprintln!("skipped: the kernel refuses to load a program: {e}");
            assert!(std::env::var_os("CI").is_none(), "this test needs a kernel that loads programs");
            false
        }
    }
}

/// Does the kernel know sign-extending moves?
pub fn has_v4() -> bool {
    let movsx = Insn::movsx(true, 8, 0, 1);
    let insns: Vec<u8> = [movsx, Insn::mov(true, 0, insn::Operand::Imm(0)), Insn::exit()].iter().flat_map(|i| i.bytes()).collect();
    let mut code = Insn::mov(true, 1, insn::Operand::Imm(-1)).bytes().to_vec();
    code.extend(insns);
    load_program(bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT, &code, None).is_ok()
}

fn insns_of(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

struct Infos<'a> {
    btf: &'a OwnedFd,
    funcs: Vec<u8>,
    func_count: u32,
    func_size: u32,
    lines: Vec<u8>,
    line_count: u32,
    line_size: u32,
}

fn load_program(ty: bpf_prog_type, insns: &[u8], infos: Option<&Infos<'_>>) -> Result<OwnedFd, String> {
    let mut log = Vec::new();
    let mut first = String::new();
    // without a log, then with the verdict alone, then with every step
    for log_level in [0, 4, 1] {
        let mut attr = zeroed();
        // SAFETY: a union of plain integers.
        let p = unsafe { &mut attr.__bindgen_anon_3 };
        p.prog_type = ty as u32;
        p.insns = insns.as_ptr() as u64;
        p.insn_cnt = (insns.len() / 8) as u32;
        p.license = c"GPL".as_ptr() as u64;
        if let Some(i) = infos {
            p.prog_btf_fd = i.btf.as_raw_fd() as u32;
            p.func_info = i.funcs.as_ptr() as u64;
            p.func_info_cnt = i.func_count;
            p.func_info_rec_size = i.func_size;
            p.line_info = i.lines.as_ptr() as u64;
            p.line_info_cnt = i.line_count;
            p.line_info_rec_size = i.line_size;
        }
        if log_level > 0 {
            log = vec![0u8; 4 << 20];
            p.log_level = log_level;
            p.log_buf = log.as_mut_ptr() as u64;
            p.log_size = log.len() as u32;
        }
        match fd(bpf_cmd::BPF_PROG_LOAD, &mut attr) {
            Ok(f) => return Ok(f),
            // the verifier gave up: its log says no more, and takes long
            Err(e) if e.raw_os_error() == Some(libc::E2BIG) => return Err("BPF program is too large".into()),
            Err(e) if log_level == 0 => first = e.to_string(),
            Err(e) => {
                let end = log.iter().position(|b| *b == 0).unwrap_or(log.len());
                let text = String::from_utf8_lossy(&log[..end]);
                let tail: Vec<&str> = text.lines().rev().take(60).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                if log_level == 4 && !text.contains("too complex") {
                    continue;
                }
                return Err(format!("{first}; with a log: {e}\n{}", tail.join("\n")));
            }
        }
    }
    unreachable!("the last round returns")
}

fn create_map(name: &str, map: &Map, btf: Option<&OwnedFd>) -> Result<OwnedFd, String> {
    let mut attr = zeroed();
    // SAFETY: a union of plain integers.
    let m = unsafe { &mut attr.__bindgen_anon_1 };
    m.map_type = map.map_type();
    m.key_size = map.key_size();
    m.value_size = map.value_size();
    m.max_entries = map.max_entries();
    m.map_flags = map.map_flags();
    if let (Map::Btf(b), Some(fd)) = (map, btf)
        && map.map_type() != bpf_map_type::BPF_MAP_TYPE_RINGBUF as u32
        && b.def.btf_value_type_id != 0
    {
        m.btf_fd = fd.as_raw_fd() as u32;
        m.btf_key_type_id = b.def.btf_key_type_id;
        m.btf_value_type_id = b.def.btf_value_type_id;
    }
    fd(bpf_cmd::BPF_MAP_CREATE, &mut attr).map_err(|e| format!("map {name}: {e}"))
}

fn load_btf(bytes: &[u8]) -> Result<OwnedFd, String> {
    let mut log = vec![0u8; 1 << 16];
    let mut attr = zeroed();
    // SAFETY: a union of plain integers.
    let b = unsafe { &mut attr.__bindgen_anon_7 };
    b.btf = bytes.as_ptr() as u64;
    b.btf_size = bytes.len() as u32;
    b.btf_log_level = 1;
    b.btf_log_buf = log.as_mut_ptr() as u64;
    b.btf_log_size = log.len() as u32;
    fd(bpf_cmd::BPF_BTF_LOAD, &mut attr).map_err(|e| {
        let end = log.iter().position(|b| *b == 0).unwrap_or(log.len());
        format!("BTF: {e}\n{}", String::from_utf8_lossy(&log[..end]))
    })
}

fn program_type(section: &ProgramSection) -> bpf_prog_type {
    match section {
        ProgramSection::RawTracePoint => bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT,
        ProgramSection::TracePoint => bpf_prog_type::BPF_PROG_TYPE_TRACEPOINT,
        ProgramSection::PerfEvent => bpf_prog_type::BPF_PROG_TYPE_PERF_EVENT,
        ProgramSection::KProbe | ProgramSection::UProbe { .. } => bpf_prog_type::BPF_PROG_TYPE_KPROBE,
        s => panic!("no program type for {s:?}"),
    }
}

pub fn load(object: &[u8]) -> Result<Loaded, String> {
    load_some(object, &mut |_, _| false, &mut |_, _| {})
}

/// Loads the programs, less those that `skip` lets go by name and error; `change` may spoil the instructions before.
pub fn load_some(
    object: &[u8],
    skip: &mut dyn FnMut(&str, &str) -> bool,
    change: &mut dyn FnMut(&str, &mut Vec<Insn>),
) -> Result<Loaded, String> {
    let mut obj = Object::parse(object).map_err(|e| format!("aya-obj: {e:?}"))?;
    let btf = match &obj.btf {
        Some(b) => Some(load_btf(&b.to_bytes())?),
        None => None,
    };
    let mut out = Loaded {
        maps: HashMap::new(),
        programs: HashMap::new(),
        value_sizes: HashMap::new(),
        key_sizes: HashMap::new(),
        rings: HashMap::new(),
    };
    for (name, map) in &obj.maps {
        let fd = create_map(name, map, btf.as_ref())?;
        if !map.data().is_empty() {
            update(&fd, &0u32.to_le_bytes(), map.data()).map_err(|e| format!("{name}: {e}"))?;
        }
        out.value_sizes.insert(name.clone(), map.value_size() as usize);
        out.key_sizes.insert(name.clone(), map.key_size() as usize);
        if map.map_type() == bpf_map_type::BPF_MAP_TYPE_RINGBUF as u32 {
            out.rings.insert(name.clone(), map.max_entries() as usize);
        }
        out.maps.insert(name.clone(), fd);
    }
    let text: HashSet<usize> = obj.functions.keys().map(|(section, _)| *section).collect();
    let maps: Vec<(String, i32, Map)> = obj.maps.iter().map(|(n, m)| (n.clone(), out.maps[n].as_raw_fd(), m.clone())).collect();
    obj.relocate_maps(maps.iter().map(|(n, fd, m)| (n.as_str(), *fd, m)), &text).map_err(|e| format!("{e:?}"))?;
    obj.relocate_calls(&text).map_err(|e| format!("{e:?}"))?;
    for (name, program) in &obj.programs {
        let f = &obj.functions[&program.function_key()];
        let mut insns = Vec::new();
        for i in &f.instructions {
            insns.push(Insn { code: i.code, dst: i.dst_reg(), src: i.src_reg(), off: i.off, imm: i.imm });
        }
        change(name, &mut insns);
        let insns: Vec<u8> = insns.iter().flat_map(|i| i.bytes()).collect();
        let infos = btf.as_ref().map(|btf| Infos {
            btf,
            funcs: f.func_info.func_info_bytes(),
            func_count: f.func_info.num_info,
            func_size: f.func_info_rec_size as u32,
            lines: f.line_info.line_info_bytes(),
            line_count: f.line_info.num_info,
            line_size: f.line_info_rec_size as u32,
        });
        match load_program(program_type(&program.section), &insns, infos.as_ref()) {
            Ok(fd) => {
                out.programs.insert(name.clone(), fd);
            }
            Err(e) if skip(name, &e) => {}
            Err(e) => return Err(format!("{name}: {e}")),
        }
    }
    Ok(out)
}

fn update(map: &OwnedFd, key: &[u8], value: &[u8]) -> io::Result<()> {
    let mut attr = zeroed();
    // SAFETY: a union of plain integers.
    let e = unsafe { &mut attr.__bindgen_anon_2 };
    e.map_fd = map.as_raw_fd() as u32;
    e.key = key.as_ptr() as u64;
    e.__bindgen_anon_1.value = value.as_ptr() as u64;
    bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr).map(|_| ())
}

impl Loaded {
    pub fn update(&self, map: &str, key: &[u8], value: &[u8]) {
        update(&self.maps[map], key, value).expect(map);
    }

    /// A value of `size` bytes.
    pub fn lookup(&self, map: &str, key: &[u8], size: usize) -> Option<Vec<u8>> {
        let mut value = vec![0u8; size];
        let mut attr = zeroed();
        // SAFETY: a union of plain integers.
        let e = unsafe { &mut attr.__bindgen_anon_2 };
        e.map_fd = self.maps[map].as_raw_fd() as u32;
        e.key = key.as_ptr() as u64;
        e.__bindgen_anon_1.value = value.as_mut_ptr() as u64;
        match bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr) {
            Ok(_) => Some(value),
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => None,
            Err(e) => panic!("{map}: {e}"),
        }
    }

    /// All keys and values of a hash; `copies`: values of `size` bytes for each key, padded, where it is per CPU.
    pub fn entries(&self, map: &str, copies: Option<usize>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let value = self.value_sizes[map];
        let size = copies.map_or(value, |n| value.next_multiple_of(8) * n);
        let mut key = vec![0u8; self.key_sizes[map]];
        let mut out: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        loop {
            let mut next = vec![0u8; key.len()];
            let mut attr = zeroed();
            // SAFETY: a union of plain integers.
            let e = unsafe { &mut attr.__bindgen_anon_2 };
            e.map_fd = self.maps[map].as_raw_fd() as u32;
            e.key = if out.is_empty() { 0 } else { key.as_ptr() as u64 };
            e.__bindgen_anon_1.next_key = next.as_mut_ptr() as u64;
            match bpf(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attr) {
                Ok(_) => {}
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => return out,
                Err(e) => panic!("{map}: {e}"),
            }
            let value = self.lookup(map, &next, size).expect("nobody deletes meanwhile");
            out.push((next.clone(), value));
            key = next;
        }
    }

    pub fn ring(&self, map: &str) -> Ring {
        let size = self.rings[map];
        let fd = self.maps[map].as_raw_fd();
        let map_at = |len, prot, offset| {
            // SAFETY: a new mapping of the kernel's choice, which stays.
            let at = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, libc::MAP_SHARED, fd, offset) };
            assert_ne!(at, libc::MAP_FAILED, "{}", io::Error::last_os_error());
            at
        };
        let consumer = map_at(4096, libc::PROT_READ | libc::PROT_WRITE, 0).cast();
        let producer = map_at(4096 + 2 * size, libc::PROT_READ, 4096);
        // SAFETY: the data follow the producer's page in the same mapping.
        Ring { consumer, producer: producer.cast(), data: unsafe { producer.cast::<u8>().add(4096) }, size }
    }

    /// The bytes of a data section.
    pub fn section(&self, name: &str) -> Vec<u8> {
        self.lookup(name, &0u32.to_le_bytes(), self.value_sizes[name]).expect("an array has its element")
    }

    pub fn write_section(&self, name: &str, bytes: &[u8]) {
        self.update(name, &0u32.to_le_bytes(), bytes);
    }

    /// Runs a raw tracepoint program; the kernel gives back the low half of r0.
    pub fn run(&self, program: &str, ctx: &[u8]) -> u32 {
        let mut attr = zeroed();
        // SAFETY: a union of plain integers.
        let t = unsafe { &mut attr.test };
        t.prog_fd = self.programs[program].as_raw_fd() as u32;
        t.ctx_in = ctx.as_ptr() as u64;
        t.ctx_size_in = ctx.len() as u32;
        bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr).expect("BPF_PROG_TEST_RUN");
        // SAFETY: the kernel wrote this variant.
        unsafe { attr.test.retval }
    }

    /// The first page of a ring buffer's records.
    pub fn ring_page(&self, map: &str) -> Vec<u8> {
        // SAFETY: a new read-only mapping of the kernel's choice; its length is what is read and unmapped below.
        unsafe {
            let at = libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, self.maps[map].as_raw_fd(), 8192);
            assert_ne!(at, libc::MAP_FAILED, "{}", io::Error::last_os_error());
            let bytes = std::slice::from_raw_parts(at.cast::<u8>(), 4096).to_vec();
            libc::munmap(at, 4096);
            bytes
        }
    }
}

impl Ring {
    /// The records since the last time. Programs must not run meanwhile.
    pub fn take(&mut self) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        // SAFETY: both positions are in the mapped pages; the data are mapped twice in a row, so that no record is cut.
        unsafe {
            let (mut at, end) = (self.consumer.read_volatile(), self.producer.read_volatile());
            while at < end {
                let record = self.data.add(at as usize & (self.size - 1));
                let header = record.cast::<u32>().read_volatile();
                let len = (header & !(3 << 30)) as usize;
                // bit 30: thrown away
                if header >> 30 == 0 {
                    out.push(std::slice::from_raw_parts(record.add(8), len).to_vec());
                }
                at += (len + 8).next_multiple_of(8) as u64;
            }
            self.consumer.write_volatile(end);
        }
        out
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mappings that `ring` made, which nobody else knows.
        unsafe {
            libc::munmap(self.consumer.cast(), 4096);
            libc::munmap(self.producer.cast_mut().cast(), 4096 + 2 * self.size);
        }
    }
}
