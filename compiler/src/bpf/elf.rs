//! The object: a section per program, subprograms in `.text`, BTF-defined maps, data sections, BTF.
//!
//! The same bytes are read by aya-obj 0.3 (our loader), libbpf and bpftool. What they ask for:
//! * a program is a global FUNC symbol with a size, in a section whose name says the program's type;
//! * subprograms are local FUNC symbols in `.text`, and static in BTF, which callbacks have to be;
//! * data sections start with `.rodata`, `.data` or `.bss`, where aya takes `.bss*` as zeros whatever it holds.
//!
//! Three things have no spelling that all accept: libbpf (1.1) knows no section of zeros but `.bss` itself and no
//! `perf_event/NAME`, and aya-obj no `uprobe.multi`, nor does it count the records of programs that share a section.
//! `Options::portable` says it libbpf's way, for objects that leave the machine.

use super::btf::{self, Builder, ExtSection, LineInfo, Linkage};
use super::{Compiled, Error, Insn, Options, Target};
use crate::artifact::{CgroupHook, KernelMap, MapKind, ProgramKind};
use crate::lowered::{Function, Module};
use object::write::{Object, Relocation, SectionId, Symbol, SymbolId, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind, SymbolScope};
use std::collections::{HashMap, HashSet};

const R_BPF_64_64: u32 = 1;
const R_BPF_64_32: u32 = 10;
const INSN: u64 = 8;
/// map flag of what is allocated when it is needed
const F_NO_PREALLOC: u32 = 1;

/// The section of a program. Our own loader knows the program's kind from the artifact and sets the expected attach
/// type itself.
fn section_name(kind: ProgramKind, name: &str, portable: bool) -> String {
    let prefix = match kind {
        ProgramKind::RawTracepoint => "raw_tp",
        ProgramKind::TpBtf { .. } => "tp_btf",
        ProgramKind::Fentry { .. } => "fentry",
        ProgramKind::Fexit { .. } => "fexit",
        ProgramKind::Iter { .. } => "iter",
        ProgramKind::Tracepoint => "tracepoint",
        ProgramKind::Kprobe => "kprobe",
        ProgramKind::UprobeMulti if portable => "uprobe.multi",
        ProgramKind::UprobeMulti => "uprobe",
        ProgramKind::KprobeMulti if portable => "kprobe.multi",
        ProgramKind::KprobeSession if portable => "kprobe.session",
        ProgramKind::KprobeMulti | ProgramKind::KprobeSession => "kprobe",
        ProgramKind::PerfEvent if portable => return "perf_event".to_owned(),
        ProgramKind::PerfEvent => "perf_event",
        ProgramKind::Xdp if portable => return "xdp".to_owned(),
        // aya-obj takes what follows `xdp/` for a kind of its own
        ProgramKind::Xdp | ProgramKind::Tc => "classifier",
        ProgramKind::SocketFilter if portable => return "socket".to_owned(),
        ProgramKind::Cgroup(hook) if portable => return cgroup_section(hook).to_owned(),
        ProgramKind::SocketFilter | ProgramKind::Cgroup(_) => "classifier",
        ProgramKind::Lsm { .. } => "lsm",
        ProgramKind::ModifyReturn { .. } if portable => "fmod_ret",
        ProgramKind::ModifyReturn { .. } => "fentry",
    };
    format!("{prefix}/{name}")
}

/// As libbpf has them.
fn cgroup_section(hook: CgroupHook) -> &'static str {
    match hook {
        CgroupHook::Ingress => "cgroup_skb/ingress",
        CgroupHook::Egress => "cgroup_skb/egress",
        CgroupHook::Connect4 => "cgroup/connect4",
        CgroupHook::Connect6 => "cgroup/connect6",
        CgroupHook::Bind4 => "cgroup/bind4",
        CgroupHook::Bind6 => "cgroup/bind6",
        CgroupHook::Sendmsg4 => "cgroup/sendmsg4",
        CgroupHook::Sendmsg6 => "cgroup/sendmsg6",
        CgroupHook::SockOps => "sockops",
    }
}

/// A data section's name as a C identifier, for its variable.
fn variable_name(section: &str) -> String {
    section.trim_start_matches('.').chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// Where a function's code lies.
struct Place {
    section: SectionId,
    /// bytes
    offset: u64,
    symbol: SymbolId,
}

struct Writer<'a> {
    module: &'a Module,
    functions: &'a [Compiled],
    portable: bool,
    obj: Object<'static>,
    btf: Builder,
}

pub fn write(module: &Module, functions: &[Compiled], options: &Options) -> Result<Vec<u8>, Error> {
    let mut w = Writer {
        module,
        functions,
        portable: options.portable,
        obj: Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little),
        btf: Builder::default(),
    };
    w.check()?;
    let places = w.code();
    let maps = w.maps();
    let data = w.data();
    let license = w.section("license", SectionKind::Data);
    w.obj.append_section_data(license, &[options.license.as_bytes(), b"\0"].concat(), 1);
    let ext = w.types(&places);
    w.relocations(&places, &maps, &data)?;
    let ext = btf::ext(&mut w.btf, &ext);
    let bytes = std::mem::take(&mut w.btf).finish();
    let s = w.section(".BTF", SectionKind::Metadata);
    w.obj.append_section_data(s, &bytes, 4);
    let s = w.section(".BTF.ext", SectionKind::Metadata);
    w.obj.append_section_data(s, &ext, 4);
    w.obj.write().map_err(|e| internal(e.to_string()))
}

fn internal(message: String) -> Error {
    Error::Internal { function: "the object".to_owned(), message }
}

fn add_code(obj: &mut Object<'_>, section: SectionId, insns: &[Insn]) -> u64 {
    let bytes: Vec<u8> = insns.iter().flat_map(|i| i.bytes()).collect();
    obj.append_section_data(section, &bytes, INSN)
}

impl Writer<'_> {
    fn section(&mut self, name: &str, kind: SectionKind) -> SectionId {
        self.obj.add_section(Vec::new(), name.as_bytes().to_vec(), kind)
    }

    /// What would be misread by a loader instead of refused.
    fn check(&self) -> Result<(), Error> {
        let mut names = HashSet::new();
        let functions = self.module.functions.iter().map(|f| &f.name);
        let maps = self.module.maps.iter().map(|m| &m.name);
        for n in functions.chain(maps) {
            if !names.insert(n) {
                return Err(internal(format!("two symbols `{n}`")));
            }
        }
        for s in &self.module.sections {
            if !names.insert(&s.name) {
                return Err(internal(format!("two sections `{}`", s.name)));
            }
            let known = [".rodata", ".data", ".bss"].iter().any(|p| s.name == *p || s.name.starts_with(&format!("{p}.")));
            if !known {
                return Err(internal(format!("a data section `{}`", s.name)));
            }
            if s.init.len() > s.size as usize {
                return Err(internal(format!("`{}` is larger than its size", s.name)));
            }
            if s.name.starts_with(".bss") && s.init.iter().any(|b| *b != 0) {
                return Err(internal(format!("`{}` has bytes that aren't 0", s.name)));
            }
        }
        Ok(())
    }

    fn symbol(&mut self, name: &str, section: SectionId, value: u64, size: u64, kind: SymbolKind, scope: SymbolScope) -> SymbolId {
        self.obj.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value,
            size,
            kind,
            scope,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        })
    }

    fn section_of(&self, f: &Function) -> String {
        match f.program {
            Some(kind) => section_name(kind, &f.name, self.portable),
            None => ".text".to_owned(),
        }
    }

    fn code(&mut self) -> Vec<Place> {
        let mut sections: HashMap<String, SectionId> = HashMap::new();
        let mut places = Vec::with_capacity(self.functions.len());
        for (f, compiled) in self.module.functions.iter().zip(self.functions) {
            let name = self.section_of(f);
            let section = match sections.get(&name) {
                Some(s) => *s,
                None => {
                    let s = self.section(&name, SectionKind::Text);
                    sections.insert(name, s);
                    s
                }
            };
            let scope = match f.program {
                Some(_) => SymbolScope::Dynamic,
                None => SymbolScope::Compilation,
            };
            let offset = add_code(&mut self.obj, section, &compiled.insns);
            let size = compiled.insns.len() as u64 * INSN;
            let symbol = self.symbol(&f.name, section, offset, size, SymbolKind::Text, scope);
            places.push(Place { section, offset, symbol });
        }
        places
    }

    /// A map is a variable whose type says everything: `int (*max_entries)[n]`.
    fn maps(&mut self) -> Vec<SymbolId> {
        if self.module.maps.is_empty() {
            return Vec::new();
        }
        let section = self.section(".maps", SectionKind::Data);
        let (mut symbols, mut vars, mut at) = (Vec::new(), Vec::new(), 0u32);
        for map in &self.module.maps {
            let members = self.map_members(map);
            let size = 8 * members.len() as u32;
            let ty = self.btf.pointer_struct(&members);
            let var = self.btf.var(&map.name, ty, Linkage::Global);
            vars.push((var, at, size));
            self.obj.append_section_data(section, &vec![0; size as usize], 8);
            symbols.push(self.symbol(&map.name, section, u64::from(at), u64::from(size), SymbolKind::Data, SymbolScope::Dynamic));
            at += size;
        }
        self.btf.datasec(".maps", at, &vars);
        symbols
    }

    fn map_members(&mut self, map: &KernelMap) -> Vec<(&'static str, u32)> {
        let int = self.btf.uint(4);
        let number = |b: &mut Builder, n: u32| {
            let a = b.array(int, n);
            b.pointer(a)
        };
        let mut members = vec![("type", number(&mut self.btf, map.kind as u32))];
        // kinds that the kernel knows no BTF for, and queues, which have no keys at all
        let device = crate::sema::is_device(map.kind);
        let sizes_only = map.pin.is_none()
            && matches!(
                map.kind,
                MapKind::PerfEventArray | MapKind::StackTrace | MapKind::LpmTrie | MapKind::Queue | MapKind::Stack | MapKind::BloomFilter
            )
            || device;
        let flags = match map.kind {
            MapKind::TaskStorage | MapKind::LpmTrie => F_NO_PREALLOC,
            _ => 0,
        };
        if flags != 0 {
            members.push(("map_flags", number(&mut self.btf, flags)));
        }
        if let Some(pin) = map.pin.as_ref().filter(|_| !device) {
            let (key, value) = super::described::write(&mut self.btf, &pin.keys, &pin.value, map.value_size);
            for (member, ty) in [("key", key), ("value", value)] {
                members.push((member, self.btf.pointer(ty)));
            }
            members.push(("max_entries", number(&mut self.btf, map.max_entries)));
            return members;
        }
        for (size, by_type, by_size) in [(map.key_size, "key", "key_size"), (map.value_size, "value", "value_size")] {
            if size == 0 {
                continue;
            }
            if sizes_only {
                members.push((by_size, number(&mut self.btf, size)));
            } else {
                let ty = self.btf.blob(size);
                members.push((by_type, self.btf.pointer(ty)));
            }
        }
        // 0 entries: storage in tasks
        if map.max_entries != 0 {
            members.push(("max_entries", number(&mut self.btf, map.max_entries)));
        }
        members
    }

    /// Each section's id in the object, and the offset there of its first byte.
    fn data(&mut self) -> Vec<(SectionId, u32)> {
        let mut ids = Vec::new();
        // the one `.bss` of a portable object: variable, offset, size of each
        let mut zeros = None;
        let mut zero_vars = Vec::new();
        let mut zero_size = 0u32;
        for s in &self.module.sections {
            let (name, size) = (s.name.clone(), s.size);
            let is_zero = name.starts_with(".bss");
            if is_zero && self.portable {
                let at = zero_size.next_multiple_of(64);
                zero_size = at + size;
                let id = match zeros {
                    Some(id) => id,
                    None => *zeros.insert(self.section(".bss", SectionKind::UninitializedData)),
                };
                zero_vars.push((self.variable(&name, id, at, size), at, size));
                ids.push((id, at));
                continue;
            }
            let id = if is_zero {
                let id = self.section(&name, SectionKind::UninitializedData);
                self.obj.append_section_bss(id, u64::from(size), 64);
                id
            } else {
                let kind = if s.readonly { SectionKind::ReadOnlyData } else { SectionKind::Data };
                let mut bytes = s.init.clone();
                bytes.resize(size as usize, 0);
                let id = self.section(&name, kind);
                self.obj.append_section_data(id, &bytes, 64);
                id
            };
            let var = self.variable(&name, id, 0, size);
            self.btf.datasec(&name, size, &[(var, 0, size)]);
            ids.push((id, 0));
        }
        if let Some(id) = zeros {
            self.obj.append_section_bss(id, u64::from(zero_size), 64);
            self.btf.datasec(".bss", zero_size, &zero_vars);
        }
        ids
    }

    /// The variable that a data section consists of; its BTF id.
    fn variable(&mut self, section: &str, id: SectionId, at: u32, size: u32) -> u32 {
        let name = variable_name(section);
        self.symbol(&name, id, u64::from(at), u64::from(size), SymbolKind::Data, SymbolScope::Dynamic);
        let byte = self.btf.uint(1);
        let ty = self.btf.array(byte, size);
        self.btf.var(&name, ty, Linkage::Global)
    }

    /// Types of the functions, and what `.BTF.ext` holds.
    fn types(&mut self, places: &[Place]) -> Vec<ExtSection> {
        let long = self.btf.uint(8);
        let context = self.btf.pointer(0);
        let program = self.btf.proto(long, &[("ctx", context)]);
        const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
        let mut subprograms: [Option<u32>; 6] = [None; 6];
        let mut ext: Vec<(SectionId, ExtSection)> = Vec::new();
        for ((f, compiled), place) in self.module.functions.iter().zip(self.functions).zip(places) {
            let ty = match f.program {
                Some(_) => self.btf.func(&f.name, program, Linkage::Global),
                None => {
                    let n = f.clif.signature.params.len().min(5);
                    let proto = match subprograms[n] {
                        Some(p) => p,
                        None => {
                            let params: Vec<_> = NAMES[..n].iter().map(|a| (*a, long)).collect();
                            *subprograms[n].insert(self.btf.proto(long, &params))
                        }
                    };
                    self.btf.func(&f.name, proto, Linkage::Static)
                }
            };
            let at = place.offset as u32;
            // every function has a line at its start, or none has any
            let mut lines = Vec::with_capacity(compiled.lines.len());
            if compiled.lines.first().is_none_or(|l| l.0 != 0) {
                lines.push(LineInfo::new(&mut self.btf, at, None));
            }
            for (insn, line) in &compiled.lines {
                let text = self.module.lines.get(*line as usize);
                lines.push(LineInfo::new(&mut self.btf, at + insn * 8, text));
            }
            match ext.iter_mut().find(|(s, _)| *s == place.section) {
                Some((_, e)) => {
                    e.funcs.push((at, ty));
                    e.lines.extend(lines);
                }
                None => {
                    let name = self.section_of(f);
                    let section = ExtSection { name, funcs: vec![(at, ty)], lines };
                    ext.push((place.section, section));
                }
            }
        }
        ext.into_iter().map(|(_, e)| e).collect()
    }

    fn relocations(&mut self, places: &[Place], maps: &[SymbolId], data: &[(SectionId, u32)]) -> Result<(), Error> {
        let mut kfuncs: Vec<Option<SymbolId>> = vec![None; self.module.kfuncs.len()];
        for (compiled, place) in self.functions.iter().zip(places) {
            for r in &compiled.relocs {
                let offset = place.offset + u64::from(r.insn) * INSN;
                let (symbol, r_type) = match r.target {
                    Target::Map(i) => (maps[i], R_BPF_64_64),
                    Target::Section(i) => {
                        let (section, at) = data[i];
                        let addend = compiled.insns[r.insn as usize].imm as u32;
                        self.addend(place.section, offset, addend + at);
                        (self.obj.section_symbol(section), R_BPF_64_64)
                    }
                    Target::FuncAddr(i) => {
                        // libbpf takes a static function's address as its section's, with an offset in the instruction
                        let (section, at) = (places[i].section, places[i].offset);
                        self.addend(place.section, offset, at as u32);
                        (self.obj.section_symbol(section), R_BPF_64_64)
                    }
                    Target::Func(i) => (places[i].symbol, R_BPF_64_32),
                    Target::Kfunc(i) => {
                        let symbol = match kfuncs[i] {
                            Some(s) => s,
                            None => *kfuncs[i].insert(self.kfunc(i)),
                        };
                        (symbol, R_BPF_64_32)
                    }
                };
                self.obj
                    .add_relocation(place.section, Relocation { offset, symbol, addend: 0, flags: RelocationFlags::Elf { r_type } })
                    .map_err(|e| internal(e.to_string()))?;
            }
        }
        Ok(())
    }

    /// Sets the immediate of the instruction at `offset` bytes.
    fn addend(&mut self, section: SectionId, offset: u64, value: u32) {
        let code = self.obj.section_mut(section).data_mut();
        let imm = offset as usize + 4;
        if let Some(bytes) = code.get_mut(imm..imm + 4) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
    }

    /// An undefined symbol: the loader sets the id, which the plan has. (libbpf would want a section of types, which aya takes for
    /// a section without bytes and refuses.)
    fn kfunc(&mut self, i: usize) -> SymbolId {
        self.obj.add_symbol(Symbol {
            name: self.module.kfuncs[i].as_bytes().to_vec(),
            value: 0,
            size: 0,
            kind: SymbolKind::Unknown,
            scope: SymbolScope::Unknown,
            weak: false,
            section: SymbolSection::Undefined,
            flags: SymbolFlags::None,
        })
    }
}
