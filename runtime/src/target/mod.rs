//! The machine that awl runs on, as the compiler asks for it. Every answer is looked up at the first question and kept:
//! a script that needs no types never reads them.

pub(crate) mod cgroup;
mod dwarf;
pub(crate) mod elf;
mod files;
mod functions;
mod kallsyms;
mod list;
mod lookup;
mod missing;
mod modules;
pub(crate) mod pmu;
#[cfg(test)]
mod tests;
pub(crate) mod untraceable;

use crate::sys::bpf;
use crate::sys::image::Image;
use crate::sys::tracefs::TraceFs;
use awl_compiler::artifact::{Interface, ProgramKind};
use awl_compiler::glob::Glob;
use awl_compiler::probe::session;
use awl_compiler::target::btf::{self, Btf, Kind};
use awl_compiler::target::pmu::Pmu;
use awl_compiler::target::{
    Arch, Binary, BpfFunction, Feature, KernelFunction, KernelVersion, Module, Target, Unavailable, UserAddress, UserFunctions, UserLine,
    syscalls,
};
use dwarf::DebugInfo;
use files::Files;
use kallsyms::Kallsyms;
use lookup::Lookup;
use missing::{broken, empty_tracefs, no_tracefs, no_types, not_found, unreadable};
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::OnceLock;

pub use list::{describe, list, show};

/// The running kernel and this machine's files.
#[derive(Default)]
pub struct HostTarget {
    /// where binaries are looked up
    files: Files,
    /// another file of types than the kernel's own
    types_file: Option<PathBuf>,
    /// another list of functions than the tracer's own
    functions_file: Option<PathBuf>,
    /// what is not to be used though the kernel has it
    without: Vec<Feature>,
    types: OnceCell<Result<Arc<Types>, Unavailable>>,
    slow: Arc<Slow>,
    /// of modules
    module_types: RefCell<HashMap<String, Result<Arc<Btf>, Unavailable>>>,
    tracefs: OnceCell<Result<TraceFs, Unavailable>>,
    tracepoints: OnceCell<Result<Vec<String>, Unavailable>>,
    kallsyms: OnceCell<Result<Kallsyms, Unavailable>>,
    /// why it shows no addresses
    hidden: OnceCell<Option<Unavailable>>,
    lookup: Lookup,
    kernel: OnceCell<KernelVersion>,
    cpus: OnceCell<u32>,
    bpf_functions: OnceCell<Vec<BpfFunction>>,
    /// which functions of the kernel may be called, by id and kind of program
    allowed: RefCell<HashMap<(u32, ProgramKind), bool>>,
    /// types that were looked for before there is an index
    searched: RefCell<HashMap<(Kind, String), Option<u32>>>,
    binaries: RefCell<HashMap<PathBuf, Rc<Result<Binary, Unavailable>>>>,
    /// where debug information is looked for before `/usr/lib/debug`
    stores: Vec<PathBuf>,
    debug: RefCell<HashMap<String, Rc<Result<DebugInfo, Unavailable>>>>,
    /// types of programs and modules, by number from 1 on
    foreign: RefCell<Vec<Arc<Btf>>>,
}

/// What takes tens of milliseconds to read: whoever asks first reads it, the others wait.
#[derive(Default)]
struct Slow {
    btf: OnceLock<Result<Btf, Unavailable>>,
    functions: OnceLock<Result<Vec<KernelFunction>, Unavailable>>,
}

/// For a thread that asks the same machine beside another one: what is slow to read is read once.
pub struct Beside {
    slow: Arc<Slow>,
    types_file: Option<PathBuf>,
    functions_file: Option<PathBuf>,
    without: Vec<Feature>,
}

impl Beside {
    pub fn target(self) -> HostTarget {
        let Beside { slow, types_file, functions_file, without } = self;
        HostTarget { slow, types_file, functions_file, without, ..HostTarget::default() }
    }
}

/// The bytes of the types: shared by the quick search and the index.
enum Types {
    Mapped(Image),
    Read(Vec<u8>),
}

impl AsRef<[u8]> for Types {
    fn as_ref(&self) -> &[u8] {
        match self {
            Types::Mapped(i) => i.as_ref(),
            Types::Read(v) => v,
        }
    }
}

/// So that an index can hold it beside us.
struct Shared(Arc<Types>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

impl HostTarget {
    pub fn new() -> HostTarget {
        HostTarget::default()
    }

    /// What another thread makes a target of its own of. It knows nothing of processes.
    pub fn beside(&self) -> Beside {
        let (types_file, functions_file) = (self.types_file.clone(), self.functions_file.clone());
        Beside { slow: Arc::clone(&self.slow), types_file, functions_file, without: self.without.clone() }
    }

    /// Looks binaries up among the files that process `pid` sees, by its root and its `PATH`.
    pub fn of_process(pid: u32) -> HostTarget {
        HostTarget { files: Files::of_process(pid), ..HostTarget::default() }
    }

    /// Process `pid` is a command that hasn't begun: `program`.
    pub fn about_to_run(mut self, pid: u32, program: PathBuf) -> HostTarget {
        self.files = Files::of_command(pid, program);
        self
    }

    /// The watched process has begun; it and those that it started are these.
    pub fn with_family(mut self, pids: Vec<u32>) -> HostTarget {
        self.files = self.files.with_family(pids);
        self
    }

    /// Files that a script means by this, as they are now.
    pub fn files(&self, name: &str) -> Vec<PathBuf> {
        self.files.find(name)
    }

    /// Takes the kernel's types from this file (raw BTF) instead.
    pub fn with_types(mut self, file: PathBuf) -> HostTarget {
        self.types_file = Some(file);
        self
    }

    /// Takes the functions that can be traced from this file, in the form of `available_filter_functions`.
    pub fn with_functions(mut self, file: PathBuf) -> HostTarget {
        self.functions_file = Some(file);
        self
    }

    /// Does without these features.
    pub fn without(mut self, features: &[Feature]) -> HostTarget {
        self.without.extend(features);
        self
    }

    /// Looks for debug information in these directories too.
    pub fn with_stores(mut self, stores: Vec<PathBuf>) -> HostTarget {
        self.stores = stores;
        self
    }

    fn stores(&self) -> Vec<PathBuf> {
        self.stores.iter().cloned().chain([PathBuf::from("/usr/lib/debug")]).collect()
    }

    fn debug(&self, path: &str) -> Rc<Result<DebugInfo, Unavailable>> {
        let mut known = self.debug.borrow_mut();
        let read = || {
            DebugInfo::of(path.as_ref(), &self.stores()).map_err(|e| match e {
                dwarf::Error::None => Unavailable {
                    code: "no-debuginfo",
                    message: format!("`{path}` has no debug information"),
                    help: "compile it with `-g`, install its debug symbols, or say where they are: `--debuginfo DIR`; `arg0` and `retval` need none".into(),
                },
                dwarf::Error::Broken(why) => broken(path, &why),
            })
        };
        Rc::clone(known.entry(path.to_owned()).or_insert_with(|| Rc::new(read())))
    }

    /// A type of the kernel, without an index of them all as long as few are asked for.
    fn found(&self, kind: Kind, name: &str) -> Option<u32> {
        // The index takes as long as so many searches.
        const FEW: usize = 8;
        let (key, searched) = ((kind, name.to_owned()), self.searched.borrow().len());
        if let Some(id) = self.searched.borrow().get(&key) {
            return *id;
        }
        if self.slow.btf.get().is_some() || searched >= FEW {
            return self.btf().ok()?.find(kind, name);
        }
        let id = btf::find_quick((*self.types().ok()?).as_ref(), kind, name);
        self.searched.borrow_mut().insert(key, id);
        id
    }

    fn types(&self) -> Result<Arc<Types>, Unavailable> {
        let read = || match &self.types_file {
            Some(file) => std::fs::read(file).map(Types::Read).map_err(|e| Unavailable {
                code: "no-btf",
                message: format!("`{}`: {e}", file.display()),
                help: "give a file of raw BTF: `bpftool btf dump file vmlinux format raw` reads one".into(),
            }),
            None => {
                let mapped = Image::of_types("vmlinux").map(Types::Mapped);
                mapped.or_else(|_| std::fs::read(VMLINUX).map(Types::Read)).map_err(|e| no_types(&e))
            }
        };
        self.types.get_or_init(|| read().map(Arc::new)).clone()
    }

    fn kallsyms(&self) -> Result<&Kallsyms, Unavailable> {
        self.kallsyms.get_or_init(Kallsyms::read).as_ref().map_err(Clone::clone)
    }

    fn tracefs(&self) -> Result<&TraceFs, Unavailable> {
        let find = || {
            let found = TraceFs::find().map_err(|e| no_tracefs(&e))?;
            // A kernel that is booted locked down makes no file in it (`tracefs_create_file`).
            if found.path().join("events").is_dir() { Ok(found) } else { Err(empty_tracefs()) }
        };
        self.tracefs.get_or_init(find).as_ref().map_err(Clone::clone)
    }

    fn binary(&self, path: PathBuf) -> Rc<Result<Binary, Unavailable>> {
        if let Some(known) = self.binaries.borrow().get(&path) {
            return Rc::clone(known);
        }
        let read = elf::read(&path, &self.stores()).map(|e| Binary {
            path: path.to_string_lossy().into_owned(),
            functions: e.functions,
            segments: e.segments,
            stripped: e.stripped,
            go: e.go,
            statics: e.statics,
        });
        let found = Rc::new(read.map_err(|why| unreadable(&path, why)));
        self.binaries.borrow_mut().insert(path, Rc::clone(&found));
        found
    }
}

/// the kernel's types
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// `PROC_PID_INIT_INO`
const INITIAL_PID_NAMESPACE: u64 = 0xeffffffc;

impl Target for HostTarget {
    fn kernel(&self) -> KernelVersion {
        *self.kernel.get_or_init(|| version(&std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default()))
    }

    fn arch(&self) -> Arch {
        // awl has ended already where it is neither.
        Arch::here().unwrap_or(Arch::X86_64)
    }

    fn possible_cpus(&self) -> u32 {
        *self.cpus.get_or_init(|| {
            let list = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
            cpus_of(&list).unwrap_or(1)
        })
    }

    fn pid_namespace(&self) -> Option<(u64, u64)> {
        use std::os::unix::fs::MetadataExt;
        let own = std::fs::metadata("/proc/self/ns/pid").ok()?;
        (own.ino() != INITIAL_PID_NAMESPACE).then(|| (own.dev(), own.ino()))
    }

    fn tracepoints(&self) -> Result<&[String], Unavailable> {
        let read = || {
            let file = self.tracefs()?.path().join("available_events");
            let text = std::fs::read_to_string(file).map_err(|e| no_tracefs(&e))?;
            let mut events: Vec<String> = text.lines().filter(|l| l.contains(':')).map(str::to_owned).collect();
            events.sort_unstable();
            Ok(events)
        };
        self.tracepoints.get_or_init(read).as_deref().map_err(Clone::clone)
    }

    fn tracepoint_format(&self, category: &str, event: &str) -> Result<Option<String>, Unavailable> {
        let plain = |s: &str| !s.is_empty() && s != "." && s != ".." && !s.contains(['/', '\0']);
        if !plain(category) || !plain(event) {
            return Ok(None);
        }
        match std::fs::read_to_string(self.tracefs()?.path().join(format!("events/{category}/{event}/format"))) {
            Ok(text) => Ok(Some(text)),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(no_tracefs(&e)),
        }
    }

    fn pmu(&self, name: &str) -> Result<Option<Pmu>, Unavailable> {
        pmu::read(pmu::DEVICES.as_ref(), name)
    }

    fn pmus(&self) -> Vec<String> {
        pmu::names(pmu::DEVICES.as_ref())
    }

    fn syscall_number(&self, name: &str) -> Option<u32> {
        syscalls::number(self.arch(), name)
    }

    fn btf(&self) -> Result<&Btf, Unavailable> {
        let parse = || {
            let types = self.types()?;
            Btf::parse(Shared(types)).map_err(|why| Unavailable {
                code: "no-btf",
                message: format!("the kernel's types can't be used: {why}"),
                help: "awl needs a newer version, or the kernel was built with broken tools".into(),
            })
        };
        self.slow.btf.get_or_init(parse).as_ref().map_err(Clone::clone)
    }

    fn module_btf(&self, module: &str) -> Result<Arc<Btf>, Unavailable> {
        if let Some(known) = self.module_types.borrow().get(module) {
            return known.clone();
        }
        let read = || {
            let base = self.types()?;
            let split = std::fs::read(format!("/sys/kernel/btf/{module}")).map_err(|e| Unavailable {
                code: "no-btf",
                message: format!("the kernel doesn't describe the types of module `{module}` ({e})"),
                help: "needs Linux 5.11 built with CONFIG_DEBUG_INFO_BTF_MODULES=y, and the module loaded".into(),
            })?;
            let shared = self.btf()?.len();
            let mut all = self.foreign.borrow_mut();
            let whole = btf::joined((*base).as_ref(), &split).and_then(|b| Btf::of_module(b, all.len() as u32 + 1, shared));
            let whole = whole.map(Arc::new).inspect(|types| all.push(Arc::clone(types)));
            whole.map_err(|why| Unavailable {
                code: "no-btf",
                message: format!("the types of module `{module}` can't be used: {why}"),
                help: "awl needs a newer version, or the module was built for another kernel".into(),
            })
        };
        let found = read();
        self.module_types.borrow_mut().insert(module.to_owned(), found.clone());
        found
    }

    fn btf_trace_id(&self, event: &str) -> Option<u32> {
        self.found(Kind::Typedef, &format!("btf_trace_{event}"))
    }

    fn btf_offset(&self, record: &str, member: &str) -> Option<u32> {
        btf::find_member_quick((*self.types().ok()?).as_ref(), record, member)
    }

    fn kernel_symbol(&self, name: &str) -> Result<Option<u64>, Unavailable> {
        if let Some(why) = self.hidden.get_or_init(Kallsyms::hidden) {
            return Err(why.clone());
        }
        if self.kallsyms.get().is_none()
            && let Some(found) = self.lookup.address(name)
        {
            return found;
        }
        self.kallsyms()?.address(name)
    }

    fn kernel_functions(&self) -> Result<&[KernelFunction], Unavailable> {
        let read = || match &self.functions_file {
            Some(file) => functions::listed(file),
            None => functions::traceable(self.tracefs().ok().map(TraceFs::path), &|| self.kallsyms().map(Kallsyms::text)),
        };
        self.slow.functions.get_or_init(read).as_deref().map_err(Clone::clone)
    }

    fn homes_of_function(&self, name: &str) -> Result<Vec<Option<String>>, Unavailable> {
        // The quick search through the types spares most scripts the text of all symbols, which takes the kernel 50 ms.
        let known = self.slow.functions.get().is_none() && self.found(Kind::Func, name).is_some();
        if known { Ok(vec![None]) } else { Ok(functions::homes(self.kallsyms()?.text(), name)) }
    }

    fn module(&self, name: &str) -> Module {
        modules::state(name)
    }

    fn modules(&self) -> Vec<String> {
        modules::all()
    }

    fn untraceable(&self, pattern: &Glob) -> Option<String> {
        let traceable = self.kernel_functions().ok()?;
        let all = self.kallsyms().ok()?.functions();
        // What stands in front of functions since 6.2, and parts of them.
        let whole = |n: &&str| !n.starts_with("__pfx_") && !n.contains('.') && pattern.matches(n);
        all.filter(whole).find(|n| !traceable.iter().any(|f| f.name == *n)).map(str::to_owned)
    }

    fn module_of(&self, function: &str) -> Option<String> {
        modules::exporting(function)
    }

    fn binaries(&self, pattern: &str) -> Result<Vec<Binary>, Unavailable> {
        let paths = self.files.find(pattern);
        let (mut found, mut why) = (Vec::new(), None);
        for path in paths {
            match &*self.binary(path) {
                Ok(b) => found.push(b.clone()),
                Err(e) => {
                    why.get_or_insert_with(|| e.clone());
                }
            }
        }
        match why {
            // Among many files some are no programs: those are meant by no one.
            Some(why) if found.is_empty() => Err(why),
            None if found.is_empty() => Err(not_found(&self.files, pattern)),
            _ => Ok(found),
        }
    }

    fn user_symbol(&self, path: &str, name: &str) -> Result<Option<UserAddress>, Unavailable> {
        elf::symbol(path.as_ref(), name, &self.stores()).map_err(|why| unreadable(path.as_ref(), why))
    }

    fn code_address(&self, path: &str, offset: u64) -> Option<u64> {
        let binary = self.binary(path.into());
        let segments = &binary.as_ref().as_ref().ok()?.segments;
        segments.iter().find(|(_, o, size)| (*o..o + size).contains(&offset)).map(|(a, o, _)| a + (offset - o))
    }

    fn user_functions(&self, path: &str, offsets: &[u64]) -> Result<UserFunctions, Unavailable> {
        let (binary, debug) = (self.binary(path.into()), self.debug(path));
        let (binary, debug) = ((*binary).as_ref().map_err(Clone::clone)?, (*debug).as_ref().map_err(Clone::clone)?);
        // The code lies in one segment or two; what is in none of them is nowhere.
        let address = |o: &u64| {
            let s = binary.segments.iter().find(|(_, start, size)| o.checked_sub(*start).is_some_and(|o| o < *size));
            s.map_or(u64::MAX, |(address, start, _)| o - start + address)
        };
        let addresses: Vec<u64> = offsets.iter().map(address).collect();
        let (functions, nodes) = debug.functions(&addresses).map_err(|e| match e {
            dwarf::Error::None => broken(path, "there is none"),
            dwarf::Error::Broken(why) => broken(path, &why),
        })?;
        let mut all = self.foreign.borrow_mut();
        let types = Btf::foreign(btf::write(&nodes), all.len() as u32 + 1).map(Arc::new).map_err(|why| broken(path, &why))?;
        all.push(Arc::clone(&types));
        Ok(UserFunctions { types, functions })
    }

    fn user_line(&self, path: &str, file: &str, line: u64, column: Option<u64>) -> Result<UserLine, Unavailable> {
        let (binary, debug) = (self.binary(path.into()), self.debug(path));
        let (binary, debug) = ((*binary).as_ref().map_err(Clone::clone)?, (*debug).as_ref().map_err(Clone::clone)?);
        let offset = |address: u64| {
            let s = binary.segments.iter().find(|(start, _, size)| address.checked_sub(*start).is_some_and(|o| o < *size));
            s.map(|(start, offset, _)| address - start + offset)
        };
        let found = debug.line(file, line, column, &|a| offset(a).is_some()).map_err(|e| match e {
            dwarf::Error::None => broken(path, "there is none"),
            dwarf::Error::Broken(why) => broken(path, &why),
        })?;
        Ok(match found {
            dwarf::Line::Code(addresses) => UserLine::Code(addresses.into_iter().filter_map(offset).collect()),
            dwarf::Line::NoCode(next, columns) => UserLine::NoCode { next, columns: columns.into_iter().collect() },
            dwarf::Line::NoFile(files) => UserLine::NoFile(files.into_iter().collect()),
        })
    }

    fn foreign(&self, origin: u32) -> Option<Arc<Btf>> {
        self.foreign.borrow().get(origin.checked_sub(1)? as usize).cloned()
    }

    fn interfaces(&self) -> Result<Vec<Interface>, Unavailable> {
        let found = crate::sys::net::interfaces().map_err(|e| Unavailable {
            code: "no-network",
            message: format!("the network interfaces can't be listed: {e}"),
            help: "see `ip link`".into(),
        })?;
        Ok(found.into_iter().map(|(index, name)| Interface { name, index }).collect())
    }

    fn cgroup_id(&self, path: &str) -> Result<u64, Unavailable> {
        cgroup::id(path)
    }

    fn cgroups(&self) -> Result<Vec<String>, Unavailable> {
        cgroup::all()
    }

    fn injectable(&self) -> Vec<String> {
        let text = std::fs::read_to_string("/sys/kernel/debug/error_injection/list").unwrap_or_default();
        text.lines().filter_map(|l| l.split_whitespace().next()).map(str::to_owned).collect()
    }

    fn bpf_functions(&self) -> Result<Vec<BpfFunction>, Unavailable> {
        let all = self.bpf_functions.get_or_init(|| {
            let ids = bpf::program_ids();
            // One that goes away meanwhile, or is not understood, is none to trace.
            ids.into_iter().filter_map(|id| functions::of_program(id).ok()).flatten().collect()
        });
        Ok(all.clone())
    }

    fn kfunc_allowed(&self, name: &str, kind: ProgramKind) -> Result<bool, Unavailable> {
        let Some(id) = self.btf()?.find(Kind::Func, name) else { return Ok(false) };
        let key = (id, kind);
        if let Some(known) = self.allowed.borrow().get(&key) {
            return Ok(*known);
        }
        // Functions of modules have types of their own; any place that vmlinux has stands for them.
        let of_function = matches!(kind, ProgramKind::Fentry { .. } | ProgramKind::Fexit { .. });
        let place = if of_function { self.btf_trace_id("sched_switch") } else { None };
        let kind = place.map_or(kind, |btf_id| ProgramKind::TpBtf { btf_id });
        let found = crate::load::may_call(id, kind).map_err(|e| Unavailable {
            code: "no-permission",
            message: format!("the kernel doesn't say whether `{name}` may be called: {e}"),
            help: "run awl as root, with `sudo`".into(),
        })?;
        self.allowed.borrow_mut().insert(key, found);
        Ok(found)
    }

    fn has(&self, feature: Feature) -> bool {
        if self.without.contains(&feature) {
            return false;
        }
        let has_function = |name| self.found(Kind::Func, name).is_some();
        // By version, or by the kernel's own list of its helpers: distributions add newer ones to older kernels.
        let sign = match feature {
            Feature::UprobeMulti => "BPF_TRACE_UPROBE_MULTI",
            Feature::TpBtf => "BPF_TRACE_RAW_TP",
            Feature::Loop | Feature::Bytewise | Feature::Unwinding => "BPF_FUNC_loop",
            Feature::CurrentTaskBtf => "BPF_FUNC_get_current_task_btf",
            Feature::ForEachMapElem => "BPF_FUNC_for_each_map_elem",
            Feature::LookupPercpuElem => "BPF_FUNC_map_lookup_percpu_elem",
            Feature::AttachCookie => "BPF_FUNC_get_attach_cookie",
            Feature::FunctionResult => "BPF_FUNC_get_func_ret",
            Feature::TaiClock => "BPF_FUNC_ktime_get_tai_ns",
            Feature::XdpLoadBytes => "BPF_FUNC_xdp_load_bytes",
            Feature::Kprobe => return std::path::Path::new("/sys/bus/event_source/devices/kprobe/type").exists(),
            // The constant is there without the code, which CONFIG_FPROBE brings.
            Feature::KprobeMulti => return has_function("register_fprobe_ips"),
            Feature::KprobeSession => return self.has(Feature::KprobeMulti) && has_function(session::IS_RETURN),
            Feature::ReadOnlyCast => return has_function("bpf_rdonly_cast"),
            Feature::TaskFromPid => return has_function("bpf_task_from_pid"),
            Feature::AtomicFetch | Feature::LongKeys | Feature::SocketCookie | Feature::UserFunction | Feature::RecordArguments => {
                return self.kernel() >= feature.since();
            }
        };
        // Both of them work on types that the verifier knows.
        if matches!(feature, Feature::TpBtf | Feature::CurrentTaskBtf | Feature::Unwinding) && self.types().is_err() {
            return false;
        }
        self.kernel() >= feature.since() || self.btf().is_ok_and(|b| b.enumerator(sign).is_some())
    }
}

/// `6.18.44-fc-v782`; what is missing counts 0.
fn version(release: &str) -> KernelVersion {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    KernelVersion(next(), next(), next())
}

/// How many CPUs `0-3,8-11` are.
fn cpus_of(list: &str) -> Option<u32> {
    let mut count = 0u32;
    for part in list.trim().split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
        count = count.checked_add(to.checked_sub(from)?.checked_add(1)?)?;
    }
    (count > 0).then_some(count)
}
