//! Artifact to kernel: maps are created, the object's code is linked to them, programs pass the verifier.

mod denied;
mod refusal;

use crate::pinned;
use crate::sys;
use crate::sys::bpf::{self, Map, MapBtf, MapSpec, PossibleCpus, ProgSpec};
use crate::sys::memory::{self, Mapping, page_size};
use awl_compiler::Span;
use awl_compiler::artifact::{
    Artifact, Attach, AttachTo, CgroupHook, FrameForm, KernelMap, MapKind, Plan, Program, ProgramKind, Section, StackStore, Storage, global,
};
use awl_compiler::bpf::Insn;
use awl_compiler::bpf::insn::{CALL, Operand, PSEUDO_KFUNC_CALL};
use awl_compiler::diagnostic::Diagnostic;
use awl_compiler::unwind::{PAGES_MAP, PROCESSES_MAP};
use aya_obj::btf::{Btf, BtfFeatures};
use aya_obj::generated::{bpf_attach_type, bpf_insn, bpf_map_type, bpf_prog_type};
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

pub(crate) use denied::lockdown;
pub use denied::permission;
pub use refusal::{TOO_COMPLEX, of_arguments};

/// An instruction of a loaded program, as its line table knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    pub program: &'a str,
    /// index into the linked program: its own instructions, then those of its subprograms
    pub insn: u32,
    /// as in the object's line table: name of the source, line and column from 1 (0: not known)
    pub file: &'a str,
    pub line: u32,
    pub column: u32,
}

/// Where in the user's text an instruction comes from.
pub type Spans<'a> = &'a dyn Fn(&Place) -> Option<Span>;

/// What the kernel made of an artifact. Dropped, the kernel frees everything.
#[derive(Debug)]
pub struct Loaded {
    /// by index into `Plan::kernel_maps`
    pub maps: Vec<Map>,
    /// by index into `Plan::sections`
    pub sections: Vec<LoadedSection>,
    /// by index into `Artifact::programs`
    pub programs: Vec<OwnedFd>,
    pub cpus: PossibleCpus,
    /// names that were given to new maps
    pub(crate) kept: Vec<std::path::PathBuf>,
}

#[derive(Debug)]
pub struct LoadedSection {
    pub map: Map,
    /// where the section is `mapped`
    pub memory: Option<Mapping>,
}

/// The maps that stacks are in. The kernel names a stack by a number of such a map, which nobody but itself can fill: loads that
/// are to understand one another's numbers have it in common.
#[derive(Clone, Debug, Default)]
pub struct Stacks(Vec<(StackStore, Arc<Map>)>);

impl Stacks {
    /// Those of a load, where they are new.
    pub fn add(&mut self, artifact: &Artifact, loaded: &Loaded) -> io::Result<()> {
        for (plan, map) in artifact.plan.kernel_maps.iter().zip(&loaded.maps) {
            if let Some(store) = plan.stacks.filter(|s| self.find(*s).is_none()) {
                self.0.push((store, Arc::new(map.try_clone()?)));
            }
        }
        Ok(())
    }

    /// As `View::stack`.
    pub fn frames(&self, store: StackStore, id: i64) -> Option<Vec<u64>> {
        frames(self.find(store)?, store, id)
    }

    fn find(&self, store: StackStore) -> Option<&Map> {
        self.0.iter().find(|(s, _)| *s == store).map(|(_, m)| m.as_ref())
    }
}

/// What a load has in common with others.
#[derive(Clone, Copy, Default)]
pub struct Common<'a> {
    /// maps of stacks that are taken rather than made anew
    pub stacks: Option<&'a Stacks>,
    /// a load whose maps are all taken, with what they hold: they have to be alike
    pub earlier: Option<(&'a Artifact, &'a Loaded)>,
}

impl Common<'_> {
    /// The map that stands for the plan's kernel map of that number.
    fn map(&self, plan: &Plan, index: usize) -> Result<Option<Map>, Diagnostic> {
        let wanted = &plan.kernel_maps[index];
        if let Some(store) = wanted.stacks {
            let there = self.earlier.and_then(|(artifact, loaded)| {
                let at = artifact.plan.kernel_maps.iter().position(|m| m.stacks == Some(store));
                at.and_then(|i| loaded.maps.get(i))
            });
            return there.or_else(|| self.stacks?.find(store)).map_or(Ok(None), again);
        }
        if [PAGES_MAP, PROCESSES_MAP].contains(&wanted.name.as_str()) {
            let there = self.earlier.and_then(|(a, l)| l.maps.get(a.plan.kernel_maps.iter().position(|m| m == wanted)?));
            return there.map_or(Ok(None), again);
        }
        let (Some((artifact, loaded)), Some(map)) = (self.earlier, plan.maps.iter().find(|m| m.storage == Storage::Kernel(index))) else {
            return Ok(None);
        };
        let Some(there) = artifact.plan.maps.iter().find(|m| m.name == map.name) else { return Ok(None) };
        match there.storage {
            Storage::Kernel(k) if alike(there, map) && artifact.plan.kernel_maps[k] == *wanted => again(&loaded.maps[k]),
            _ => Err(differs(map)),
        }
    }

    /// The section of that name, where its size is the wanted one.
    fn section(&self, plan: &Plan, section: &Section) -> Result<Option<Map>, Diagnostic> {
        let Some((artifact, loaded)) = self.earlier.filter(|_| [GLOBALS, PERCPU].contains(&section.name.as_str())) else { return Ok(None) };
        let slot = |m: &awl_compiler::artifact::Map| matches!(m.storage, Storage::Slot { .. });
        for map in plan.maps.iter().filter(|m| slot(m)) {
            let there = artifact.plan.maps.iter().find(|m| m.name == map.name);
            if there.is_some_and(|m| !alike(m, map) || m.storage != map.storage) {
                return Err(differs(map));
            }
        }
        let sizes = |s: &Section| (s.size, s.per_cpu);
        match artifact.plan.sections.iter().position(|s| s.name == section.name && sizes(s) == sizes(section)) {
            Some(i) => again(&loaded.sections[i].map),
            None => {
                let d = Diagnostic::environment(
                    "not-followed",
                    "what appeared is not attached: its maps find no room beside those that are there",
                );
                Err(d.help("use fewer maps without keys in probes whose places appear later"))
            }
        }
    }
}

fn again(map: &Map) -> Result<Option<Map>, Diagnostic> {
    map.try_clone().map(Some).map_err(|e| Diagnostic::environment("session", format!("can't share a map: {e}")))
}

fn alike(a: &awl_compiler::artifact::Map, b: &awl_compiler::artifact::Map) -> bool {
    a.keys == b.keys && a.value == b.value
}

fn differs(map: &awl_compiler::artifact::Map) -> Diagnostic {
    Diagnostic::environment(
        "not-followed",
        format!("what appeared is not attached: `@{}` would have other types than the running programs gave it", map.name),
    )
    .at(map.span, "its type comes from here now")
    .help("say the types with casts, `(int64)retval`, or use another map")
}

/// A stack of a map of stacks, innermost frame first: as many words for each frame as `store` says.
pub(crate) fn frames(map: &Map, store: StackStore, id: i64) -> Option<Vec<u64>> {
    let key = u64::try_from(id).ok()?.to_le_bytes();
    let key = key.get(..map.key_size())?;
    let mut bytes = vec![0; map.copied_size()];
    if !map.lookup(key, &mut bytes).ok()? {
        return None;
    }
    let words: Vec<u64> = bytes.chunks_exact(8).filter_map(|w| Some(u64::from_ne_bytes(w.try_into().ok()?))).collect();
    let frames = words.chunks_exact(store.frames.size() as usize / 8);
    Some(frames.take_while(|f| f[0] != 0).flatten().copied().collect())
}

/// `BPF_F_NO_PREALLOC`
const NO_PREALLOC: u32 = 1;
/// `BPF_F_STACK_BUILD_ID`
const STACK_BUILD_ID: u32 = 1 << 5;
/// `BPF_F_RDONLY_PROG`
const RDONLY_PROG: u32 = 1 << 7;
/// `BPF_F_MMAPABLE` (5.5)
const MMAPABLE: u32 = 1 << 10;

/// Loads all of it or, where the kernel refuses a part, nothing.
///
/// # Errors
/// `no-permission`, `map-refused`, `verifier`, `kernel-feature`, and `object` where the artifact contradicts itself.
///
/// `whole_log`: a refusal's notes end with everything that the verifier said.
///
/// `common`: maps that are taken rather than made anew.
pub fn load(artifact: &Artifact, spans: Spans, whole_log: bool, common: &Common) -> Result<Loaded, Diagnostic> {
    if let Some(d) = denied::kprobes(artifact) {
        return Err(d);
    }
    let plan = &artifact.plan;
    let mut object = aya_obj::Object::parse(&artifact.object).map_err(bad_object)?;
    let cpus = PossibleCpus::read().map_err(|e| {
        Diagnostic::environment("no-sysfs", format!("can't read the number of CPUs: {e}")).help("mount sysfs: `mount -t sysfs sysfs /sys`")
    })?;
    let files = plan.kernel_maps.len() + plan.sections.len() + artifact.programs.len();
    let links = artifact.programs.iter().map(|p| p.attach.len()).sum::<usize>();
    memory::allow_open_files((files + 2 * links + 64) as u64);

    // Types are needed for callbacks, task storage and line numbers in the log; a plain program loads without them.
    // Sizes of data sections may be left to the loader; every kind of type that we emit is older than 5.10.
    let features = BtfFeatures::new(true, true, true, true, true, true, true, true);
    let types = object.fixup_and_sanitize_btf(&features).map_err(bad_object)?;
    let types = types.map(Btf::to_bytes);
    let (btf, btf_error) = match types.as_deref().map(|t| bpf::btf_load(t, None)) {
        Some(Ok(fd)) => (Some(fd), None),
        Some(Err(e)) if is_permission(&e) => {
            return Err(permission("load the script's types", &e));
        }
        Some(Err(_)) => (None, types.as_deref().map(refusal::btf_log)),
        None => (None, None),
    };

    let definitions = std::mem::take(&mut object.maps);
    let mut maps = Vec::with_capacity(plan.kernel_maps.len());
    let mut fresh = Vec::with_capacity(plan.kernel_maps.len());
    for (i, m) in plan.kernel_maps.iter().enumerate() {
        let btf = match (definitions.get(&m.name), &btf) {
            (Some(aya_obj::Map::Btf(d)), Some(fd)) if d.def.btf_value_type_id != 0 => {
                Some(MapBtf { fd: fd.as_fd(), key: d.def.btf_key_type_id, value: d.def.btf_value_type_id })
            }
            _ => None,
        };
        let kept = match common.map(plan, i)? {
            Some(s) => Some(s),
            None => m.pin.as_ref().map(|pin| pinned::find(m, pin, cpus)).transpose()?.flatten(),
        };
        fresh.push(kept.is_none());
        maps.push(kept.map_or_else(|| create_map(m, btf, cpus), Ok)?);
    }
    let mut sections = Vec::with_capacity(plan.sections.len());
    for s in &plan.sections {
        sections.push(create_section(s, cpus, common.section(plan, s)?)?);
    }

    let mut by_name = Vec::with_capacity(definitions.len());
    for (name, definition) in &definitions {
        let fd = plan.kernel_maps.iter().position(|m| m.name == *name).map(|i| maps[i].as_fd().as_raw_fd()).or_else(|| {
            let i = plan.sections.iter().position(|s| s.name == *name)?;
            Some(sections[i].map.as_fd().as_raw_fd())
        });
        match fd {
            Some(fd) => by_name.push((name.as_str(), fd, definition)),
            None => return Err(bad_object(format!("map `{name}` is not in the plan"))),
        }
    }
    let code: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_maps(by_name.into_iter(), &code).map_err(bad_object)?;
    object.relocate_calls(&code).map_err(bad_object)?;

    for function in object.functions.values_mut() {
        kernel_calls(&mut function.instructions, plan);
    }

    let mut programs = Vec::with_capacity(artifact.programs.len());
    let mut modules: HashMap<String, OwnedFd> = HashMap::new();
    for p in &artifact.programs {
        let function = object
            .programs
            .get(&p.name)
            .and_then(|o| object.functions.get(&o.function_key()))
            .ok_or_else(|| bad_object(format!("program `{}` is missing", p.name)))?;
        let (kind, expected_attach_type, attach_btf_id) = kernel_kind(p.kind);
        let module = match p.attach.first().map(|a| &a.to) {
            Some(AttachTo::Function { module: Some(m), .. } | AttachTo::RawTracepoint { module: Some(m), .. }) => {
                if !modules.contains_key(m) {
                    let fd = bpf::module_btf(m).map_err(|e| {
                        Diagnostic::environment("no-btf", format!("the types of module `{m}` can't be had: {e}"))
                            .at(p.span, "needed here")
                            .help("is it still loaded? `lsmod` tells")
                    })?;
                    modules.insert(m.clone(), fd);
                }
                modules.get(m)
            }
            _ => None,
        };
        // A program that is traced stands where a module's types would.
        let traced = match p.attach.first().map(|a| &a.to) {
            Some(AttachTo::BpfProgram { id, name }) => Some(bpf::program(bpf::ProgramId(*id)).map_err(|e| {
                let d = Diagnostic::environment("attach", format!("the BPF program of `{name}` can't be had: {e}"));
                d.at(p.span, "needed here").help("is it still loaded? `bpftool prog` tells")
            })?),
            _ => None,
        };
        let spec = ProgSpec {
            name: &p.name,
            kind,
            expected_attach_type,
            flags: 0,
            attach_btf_id,
            attach_btf: traced.as_ref().or(module).map(AsFd::as_fd),
            insns: &function.instructions,
            license: &object.license,
            btf: btf.as_ref().map(AsFd::as_fd),
            func_info: &function.func_info.func_info,
            line_info: &function.line_info.line_info,
        };
        let fd = unless_locked(|| bpf::prog_load(&spec, None)).or_else(|error| {
            refusal::again(&refusal::Refused {
                program: p,
                points: &plan.points,
                spec: &spec,
                error,
                types: types.as_deref(),
                btf_error: btf_error.as_deref(),
                spans,
                whole_log,
            })
        })?;
        programs.push(fd);
    }
    // Not before every program is accepted: a script that is refused leaves nothing.
    let kept = pinned::keep(plan, &maps, &fresh)?;
    if sections.is_empty() && !programs.is_empty() {
        // Nothing says whose these are: a map of our own name does (`living::is_ours`). Before 5.10 they stay unknown.
        let kind = bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
        let mark = MapSpec { name: GLOBALS, kind, key_size: 4, value_size: 8, max_entries: 1, flags: 0, btf: None };
        if let Ok(mark) = create(&mark, cpus) {
            for p in &programs {
                let _ = bpf::bind_map(p.as_fd(), mark.as_fd());
            }
        }
    }
    Ok(Loaded { maps, sections, programs, cpus, kept })
}

/// Calls of the kernel's functions get their BTF ids in the place of the plan's numbers.
fn kernel_calls(insns: &mut [bpf_insn], plan: &Plan) {
    for insn in insns.iter_mut().filter(|i| i.code == CALL && i.src_reg() == PSEUDO_KFUNC_CALL) {
        if let Some(k) = plan.kfuncs.get(insn.imm as usize) {
            insn.imm = k.btf_id as i32;
        }
    }
}

/// Does the kernel let programs of that kind call the function whose type has that id? Loads one that does: whatever else is
/// wrong with the call comes after that question.
pub(crate) fn may_call(btf_id: u32, kind: ProgramKind) -> io::Result<bool> {
    let insns = [Insn::call(PSEUDO_KFUNC_CALL, btf_id as i32), Insn::mov(true, 0, Operand::Imm(0)), Insn::exit()].map(bpf::insn);
    let (kind, expected_attach_type, attach_btf_id) = kernel_kind(kind);
    let spec = ProgSpec { expected_attach_type, attach_btf_id, ..ProgSpec::new("may_call", kind, &insns) };
    let mut log = vec![0; 1 << 16];
    let Err(e) = bpf::prog_load(&spec, Some(&mut log)) else { return Ok(true) };
    let log = refusal::text(&log);
    if log.trim().is_empty() && is_permission(&e) {
        return Err(e);
    }
    // Kernels before 5.13 don't know such calls; later ones begin to check the arguments once the call is allowed.
    let no = [
        "is not allowed",
        "not supported",
        "JIT ",
        "is not a function",
        "valid func_proto",
        "not found",
        "BPF_CALL uses reserved",
        "unknown",
    ];
    Ok(!log.trim().is_empty() && !no.iter().any(|w| log.contains(w)))
}

/// Program type, expected attach type, id of the type to attach to.
fn kernel_kind(kind: ProgramKind) -> (u32, u32, u32) {
    use bpf_prog_type as t;
    match kind {
        ProgramKind::RawTracepoint => (t::BPF_PROG_TYPE_RAW_TRACEPOINT as u32, 0, 0),
        ProgramKind::TpBtf { btf_id } => (t::BPF_PROG_TYPE_TRACING as u32, bpf_attach_type::BPF_TRACE_RAW_TP as u32, btf_id),
        ProgramKind::Fentry { btf_id } => (t::BPF_PROG_TYPE_TRACING as u32, bpf_attach_type::BPF_TRACE_FENTRY as u32, btf_id),
        ProgramKind::Fexit { btf_id } => (t::BPF_PROG_TYPE_TRACING as u32, bpf_attach_type::BPF_TRACE_FEXIT as u32, btf_id),
        ProgramKind::Iter { btf_id } => (t::BPF_PROG_TYPE_TRACING as u32, bpf_attach_type::BPF_TRACE_ITER as u32, btf_id),
        ProgramKind::Tracepoint => (t::BPF_PROG_TYPE_TRACEPOINT as u32, 0, 0),
        ProgramKind::Kprobe => (t::BPF_PROG_TYPE_KPROBE as u32, 0, 0),
        ProgramKind::UprobeMulti => (t::BPF_PROG_TYPE_KPROBE as u32, bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32, 0),
        ProgramKind::KprobeMulti => (t::BPF_PROG_TYPE_KPROBE as u32, bpf_attach_type::BPF_TRACE_KPROBE_MULTI as u32, 0),
        ProgramKind::KprobeSession => (t::BPF_PROG_TYPE_KPROBE as u32, bpf::KPROBE_SESSION, 0),
        ProgramKind::PerfEvent => (t::BPF_PROG_TYPE_PERF_EVENT as u32, 0, 0),
        ProgramKind::Tc => (t::BPF_PROG_TYPE_SCHED_CLS as u32, 0, 0),
        ProgramKind::SocketFilter => (t::BPF_PROG_TYPE_SOCKET_FILTER as u32, 0, 0),
        ProgramKind::Cgroup(hook) => {
            let kind = match hook {
                CgroupHook::Ingress | CgroupHook::Egress => t::BPF_PROG_TYPE_CGROUP_SKB,
                CgroupHook::SockOps => t::BPF_PROG_TYPE_SOCK_OPS,
                _ => t::BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
            };
            (kind as u32, crate::attach::cgroup::attach_type(hook) as u32, 0)
        }
        ProgramKind::Lsm { btf_id } => (t::BPF_PROG_TYPE_LSM as u32, bpf_attach_type::BPF_LSM_MAC as u32, btf_id),
        ProgramKind::ModifyReturn { btf_id } => (t::BPF_PROG_TYPE_TRACING as u32, bpf_attach_type::BPF_MODIFY_RETURN as u32, btf_id),
        ProgramKind::Xdp => (t::BPF_PROG_TYPE_XDP as u32, bpf_attach_type::BPF_XDP as u32, 0),
    }
}

fn create_map(m: &KernelMap, btf: Option<MapBtf>, cpus: PossibleCpus) -> Result<Map, Diagnostic> {
    let flags = match m.kind {
        // Both are refused without it (5.10: kernel/bpf/lpm_trie.c, bpf_local_storage_map_alloc_check).
        MapKind::LpmTrie | MapKind::TaskStorage => NO_PREALLOC,
        MapKind::StackTrace if m.stacks.is_some_and(|s| s.frames == FrameForm::BuildId) => STACK_BUILD_ID,
        MapKind::Hash | MapKind::PercpuHash if grows(m, cpus) => NO_PREALLOC,
        _ => 0,
    };
    let spec = MapSpec {
        name: &m.name,
        kind: m.kind as u32,
        key_size: m.key_size,
        value_size: m.value_size,
        max_entries: m.max_entries,
        flags,
        btf,
    };
    let made = create(&spec, cpus).or_else(|e| {
        // Map types that take no types refuse them with one of these (524 is the kernel's ENOTSUPP).
        if spec.btf.is_some() && m.pin.is_none() && matches!(e.raw_os_error(), Some(libc::EINVAL | 524)) {
            create(&MapSpec { btf: None, ..spec }, cpus)
        } else {
            Err(e)
        }
    });
    made.map_err(|e| denied::map(&m.name, &spec, cpus, &e))
}

/// Should the map get its memory entry by entry? All of it at once is surest and quickest for programs, and the default.
/// But it takes 10 ms for 4,096 histograms on 2 CPUs, and on 64 CPUs a quarter of a gigabyte that most scripts never fill.
/// Entries made on the way cost 0.2 us more for a hash and 6 us for a per-CPU hash, once for each key (measured on 6.18).
fn grows(m: &KernelMap, cpus: PossibleCpus) -> bool {
    /// bytes that are taken at once without a thought
    const SMALL: u64 = 2 << 20;
    /// hash element, bucket and allocation
    const OVERHEAD: u64 = 64;
    let copies = match m.kind {
        MapKind::PercpuHash => u64::from(cpus.count()),
        _ => 1,
    };
    let entry = OVERHEAD + u64::from(m.key_size) + copies * u64::from(m.value_size);
    // Before 6.1 programs that interrupt the allocator may not allocate (kernel/bpf/memalloc.c came then).
    entry.saturating_mul(u64::from(m.max_entries)) > SMALL && sys::kernel_version() >= (6, 1)
}

fn create(spec: &MapSpec, cpus: PossibleCpus) -> io::Result<Map> {
    unless_locked(|| Map::create(spec, cpus))
}

/// Once more where it was refused. Before 5.11 maps and programs count as locked memory, and a low limit of that looks like a lack of rights.
fn unless_locked<T>(make: impl Fn() -> io::Result<T>) -> io::Result<T> {
    make().or_else(|e| if is_permission(&e) && memory::allow_locked_memory() { make() } else { Err(e) })
}

/// A section, or a look at the one that `shared` is.
fn create_section(s: &Section, cpus: PossibleCpus, shared: Option<Map>) -> Result<LoadedSection, Diagnostic> {
    let spec = MapSpec {
        name: &s.name,
        kind: bpf_map_type::BPF_MAP_TYPE_ARRAY as u32,
        key_size: 4,
        value_size: s.size,
        max_entries: 1,
        flags: if s.readonly { RDONLY_PROG } else { 0 } | if s.mapped { MMAPABLE } else { 0 },
        btf: None,
    };
    let failed = |e: io::Error| denied::map(&s.name, &spec, cpus, &e);
    let new = shared.is_none();
    let map = shared.map_or_else(|| create(&spec, cpus), Ok).map_err(failed)?;
    if new && s.init.iter().any(|b| *b != 0) {
        let mut bytes = s.init.clone();
        bytes.resize(s.size as usize, 0);
        map.update(&0u32.to_ne_bytes(), &bytes).map_err(failed)?;
    }
    if new && s.readonly {
        // The verifier takes values out of a frozen section as constants.
        map.freeze().map_err(failed)?;
    }
    let memory = if s.mapped {
        let len = (s.size as usize).next_multiple_of(page_size());
        Some(Mapping::new(map.as_fd(), len, 0, !s.readonly).map_err(failed)?)
    } else {
        None
    };
    Ok(LoadedSection { map, memory })
}

impl Loaded {
    /// The section that `global` describes.
    pub fn globals(&self, artifact: &Artifact) -> Option<&Mapping> {
        let i = artifact.plan.sections.iter().position(|s| s.name == GLOBALS)?;
        self.sections.get(i)?.memory.as_ref()
    }

    pub fn program(&self, index: usize) -> Option<BorrowedFd<'_>> {
        self.programs.get(index).map(AsFd::as_fd)
    }
}

/// Name of the section that holds the values of `artifact::global`.
pub const GLOBALS: &str = ".bss.awl";
/// Names of all sections: no other tool has such maps.
pub const SECTIONS: [&str; 4] = [GLOBALS, PERCPU, ".rodata.awl", ".bss.scratch"];
/// Name of the section with each CPU's part, which starts with the counters of `artifact::percpu`.
pub const PERCPU: &str = ".bss.percpu";

/// Is the session over, as programs see it?
pub fn exit_flag(globals: &Mapping) -> bool {
    globals.load(global::EXIT as usize) != 0
}

pub(crate) fn is_permission(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EPERM | libc::EACCES))
}

fn bad_object(why: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::internal("object", format!("awl made an object that can't be loaded: {why}"))
}

/// Names of a program in messages: what the user wrote.
pub fn program_title(p: &Program, points: &[String]) -> String {
    let Some(first) = p.attach.first().and_then(|a| points.get(a.point)) else { return p.name.clone() };
    match p.attach.iter().map(Attach::places).sum::<usize>() {
        0 | 1 => first.clone(),
        all => format!("{first} and {} more", all - 1),
    }
}
