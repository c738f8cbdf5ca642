//! What the kernel and the machine are like, as the compiler sees it: look-ups only. The runtime answers from the running
//! system, tests from a fixture; the compiler never touches a file, a process or the kernel itself.

pub mod btf;
pub mod fixture;
pub mod pmu;
pub mod syscalls;
pub mod tracefs;

use crate::artifact::{Interface, ProgramKind};
use crate::glob::Glob;
use std::fmt;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion(pub u32, pub u32, pub u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    X86_64,
    Aarch64,
}

impl Arch {
    /// That of a machine by the compiler's name for it (`std::env::consts::ARCH`).
    ///
    /// # Errors
    /// One sentence where its registers, calls and byte order are in no table here.
    pub fn of_machine(name: &str, little_endian: bool) -> Result<Arch, String> {
        match (name, little_endian) {
            ("x86_64", true) => Ok(Arch::X86_64),
            ("aarch64", true) => Ok(Arch::Aarch64),
            _ => {
                let order = if little_endian { "" } else { " and big-endian" };
                Err(format!("awl runs on x86-64 and little-endian arm64; this machine is {name}{order}"))
            }
        }
    }

    /// That of the machine that this runs on.
    ///
    /// # Errors
    /// As `of_machine`.
    pub fn here() -> Result<Arch, String> {
        Arch::of_machine(std::env::consts::ARCH, cfg!(target_endian = "little"))
    }
}

#[cfg(test)]
mod tests {
    use super::Arch;

    #[test]
    fn other_machines_are_refused() {
        assert_eq!(Arch::of_machine("x86_64", true), Ok(Arch::X86_64));
        assert_eq!(Arch::of_machine("aarch64", true), Ok(Arch::Aarch64));
        let said = |name, little| Arch::of_machine(name, little).unwrap_err();
        assert!(said("riscv64", true).ends_with("this machine is riscv64"), "{}", said("riscv64", true));
        assert!(said("aarch64", false).ends_with("this machine is aarch64 and big-endian"));
        assert!(said("s390x", false).starts_with("awl runs on x86-64 and little-endian arm64"));
    }
}

/// A look-up that this machine can't answer: what is missing, and the fix, both in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// a code of the diagnostics' table: `no-btf`, `no-tracefs`, `no-file`, `not-elf`, ...
    pub code: &'static str,
    pub message: String,
    pub help: String,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A function in an executable or library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSymbol {
    pub name: String,
    /// file offset, bytes
    pub offset: u64,
    /// bytes
    pub size: u64,
}

/// A static probe (USDT) of a program: one of its sites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticProbe {
    pub provider: String,
    pub name: String,
    /// file offset, bytes
    pub offset: u64,
    /// file offset of its semaphore; 0: none
    pub semaphore: u64,
    /// as the assembler wrote them: `-4@%eax 8@-16(%rbp)`
    pub arguments: String,
}

/// A variable or function of a binary, by the addresses that the file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserAddress {
    pub address: u64,
    /// bytes
    pub size: u64,
    /// the file is loaded at these very addresses; else anywhere, with all distances kept
    pub fixed: bool,
}

/// A parameter of a program's function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserParameter {
    pub name: String,
    /// in the types that were given with it
    pub id: u32,
    /// a pointer to a copy is handed over, whatever its size: objects of C++ that copy themselves
    pub by_reference: bool,
    /// the register that it is in at the function's entry, where that is said: by DWARF's number
    pub register: Option<u16>,
    /// nothing is said of where it is: the compiler optimized it away, or hands it over in a way of its own
    pub left_out: bool,
}

/// What debug information says of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFunction {
    pub parameters: Vec<UserParameter>,
    /// 0: nothing
    pub ret: u32,
    /// the caller gives the address where the result is to go, whatever its size
    pub ret_by_reference: bool,
    /// Go's own calling convention
    pub go: bool,
}

/// Functions of a program, in the order in which they were asked for, `None` where debug information has none there.
#[derive(Clone, Debug)]
pub struct UserFunctions {
    pub types: Arc<btf::Btf>,
    pub functions: Vec<Option<UserFunction>>,
}

/// What a line of a source file is in a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserLine {
    /// file offsets where it begins, one for each function, or copy of a function, that it is in
    Code(Vec<u64>),
    /// nothing; the next line that is something, and, where a column was asked for, those of the line that are
    NoCode { next: Option<u64>, columns: Vec<u64> },
    /// no file of that name went into the program; paths of those that did
    NoFile(Vec<String>),
}

/// An executable or library as uprobes see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// absolute path, through `/proc/PID/root` where `-p` asks for it
    pub path: String,
    /// functions sorted by name
    pub functions: Vec<UserSymbol>,
    /// segments with code: (address, file offset, size), for `uprobe:BIN:ADDRESS`
    pub segments: Vec<(u64, u64, u64)>,
    /// it has no table of all its symbols: functions that other files don't call are not among `functions`
    pub stripped: bool,
    /// made by Go's compiler: its stacks move
    pub go: bool,
    /// sorted by provider, then name
    pub statics: Vec<StaticProbe>,
}

/// A function of a BPF program that is loaded now.
#[derive(Clone, Debug)]
pub struct BpfFunction {
    /// the program's number
    pub program: u32,
    /// `enum bpf_prog_type`
    pub kind: u32,
    pub name: String,
    /// its type in the program's own types
    pub btf_id: u32,
    pub types: Arc<btf::Btf>,
}

/// A function of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelFunction {
    pub name: String,
    /// `None`: of the kernel itself
    pub module: Option<String>,
}

/// Ways in which compilers name what they made of a function.
const VARIANTS: &[&str] = &["constprop", "isra", "part", "cold", "llvm"];

/// Is it what a compiler made of the function `name`? `lookup_fast.constprop.0` is of `lookup_fast`.
pub fn is_variant(symbol: &str, name: &str) -> bool {
    let suffix = symbol.strip_prefix(name).and_then(|s| s.strip_prefix('.'));
    suffix.is_some_and(|s| VARIANTS.iter().any(|v| s.starts_with(v)))
}

/// Where a module of the kernel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    Loaded,
    /// it can be loaded
    Loadable,
    /// part of the kernel itself
    BuiltIn,
    Unknown,
}

pub trait Target {
    fn kernel(&self) -> KernelVersion;
    fn arch(&self) -> Arch;
    /// possible CPUs (not the online ones): per-CPU maps have that many slots
    fn possible_cpus(&self) -> u32;
    /// `category:event` of every tracepoint
    fn tracepoints(&self) -> Result<&[String], Unavailable>;
    /// text of `events/CATEGORY/EVENT/format`; `None`: no such event
    fn tracepoint_format(&self, category: &str, event: &str) -> Result<Option<String>, Unavailable>;
    /// a source of counters by the name that sysfs gives it; `None`: this machine has none of that name
    fn pmu(&self, name: &str) -> Result<Option<pmu::Pmu>, Unavailable>;
    /// names of all of them
    fn pmus(&self) -> Vec<String>;
    /// number of a system call by its name (`openat`); from the tables of the running architecture
    fn syscall_number(&self, name: &str) -> Option<u32>;
    /// types of vmlinux, parsed at the first call
    fn btf(&self) -> Result<&btf::Btf, Unavailable>;
    /// types of vmlinux with those of a module, by the ids that the kernel gives them
    fn module_btf(&self, module: &str) -> Result<Arc<btf::Btf>, Unavailable> {
        Err(Unavailable {
            code: "no-btf",
            message: format!("the types of module `{module}` are not known"),
            help: "needs Linux 5.11 built with CONFIG_DEBUG_INFO_BTF_MODULES=y, and the module loaded".into(),
        })
    }
    /// id of the typedef `btf_trace_EVENT`, by a quick search that needs no index; `None` without BTF or event
    fn btf_trace_id(&self, event: &str) -> Option<u32>;
    /// offset in bytes of a structure's member, by a quick search too
    fn btf_offset(&self, record: &str, member: &str) -> Option<u32> {
        let record = self.btf().ok()?.record_named(&format!("struct {record}"))?;
        record.fields.iter().find(|f| f.name == member).map(|f| f.offset)
    }
    /// kernel address of a symbol
    fn kernel_symbol(&self, name: &str) -> Result<Option<u64>, Unavailable>;
    /// a binary by path or by name in PATH (or `libc`); every match of a pattern with `*`
    fn binaries(&self, pattern: &str) -> Result<Vec<Binary>, Unavailable>;
    /// a variable or function of the binary with that path; `None`: it has no such symbol
    fn user_symbol(&self, path: &str, name: &str) -> Result<Option<UserAddress>, Unavailable>;
    /// the address in the file of the code at a file offset
    fn code_address(&self, path: &str, offset: u64) -> Option<u64>;
    /// what the debug information of a binary (its path) says of the functions at these file offsets
    fn user_functions(&self, path: &str, offsets: &[u64]) -> Result<UserFunctions, Unavailable>;
    /// a line (and column) of a source file, by the end of its path
    fn user_line(&self, path: &str, file: &str, line: u64, column: Option<u64>) -> Result<UserLine, Unavailable>;
    /// types that are not the kernel's, by the number that their fields have
    fn foreign(&self, origin: u32) -> Option<Arc<btf::Btf>>;
    /// network interfaces of awl's own network namespace, in the order of their numbers
    fn interfaces(&self) -> Result<Vec<Interface>, Unavailable>;
    /// id of the cgroup v2 directory
    fn cgroup_id(&self, path: &str) -> Result<u64, Unavailable>;
    /// paths of all cgroups of version 2, the root first
    fn cgroups(&self) -> Result<Vec<String>, Unavailable> {
        Ok(Vec::new())
    }
    /// functions that the kernel's authors marked for error injection, where the kernel has it and says so
    fn injectable(&self) -> Vec<String> {
        Vec::new()
    }
    /// device and inode of awl's pid namespace; `None`: it is the initial one
    fn pid_namespace(&self) -> Option<(u64, u64)> {
        None
    }
    /// functions that the kernel lets be traced, by name; those of modules too
    fn kernel_functions(&self) -> Result<&[KernelFunction], Unavailable>;
    /// modules that have a function of that name, `None` for the kernel itself; empty where there is none. Also of functions
    /// that can't be traced.
    fn homes_of_function(&self, name: &str) -> Result<Vec<Option<String>>, Unavailable>;
    /// where the module of that name is
    fn module(&self, _name: &str) -> Module {
        Module::Unknown
    }
    /// names of all modules that are loaded or can be
    fn modules(&self) -> Vec<String> {
        Vec::new()
    }
    /// a function of the kernel itself with a name of that pattern, of those that can't be traced
    fn untraceable(&self, _pattern: &Glob) -> Option<String> {
        None
    }
    /// the module that gives a function to others, as far as that is known
    fn module_of(&self, _function: &str) -> Option<String> {
        None
    }
    /// may programs of that kind call that function of the kernel?
    fn kfunc_allowed(&self, name: &str, kind: ProgramKind) -> Result<bool, Unavailable>;
    /// functions of the BPF programs that are loaded now, as far as they have types
    fn bpf_functions(&self) -> Result<Vec<BpfFunction>, Unavailable>;
    /// does this kernel have it?
    fn has(&self, feature: Feature) -> bool;
}

/// Bytes of a map's key in kernels without `Feature::LongKeys`.
pub const KEY_BEFORE_LONG_KEYS: u32 = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feature {
    /// `BPF_LINK_TYPE_UPROBE_MULTI`, 6.6
    UprobeMulti,
    /// programs of type TRACING attached to raw tracepoints, 5.5 with BTF
    TpBtf,
    /// `bpf_loop`, 5.17
    Loop,
    /// the same for builtins that go through texts and bytes
    Bytewise,
    /// `bpf_get_current_task_btf`, 5.11
    CurrentTaskBtf,
    /// `bpf_for_each_map_elem`, 5.13
    ForEachMapElem,
    /// `bpf_map_lookup_percpu_elem`, 5.19
    LookupPercpuElem,
    /// atomic instructions that fetch, 5.12
    AtomicFetch,
    /// `bpf_get_attach_cookie`, 5.15
    AttachCookie,
    /// `bpf_ktime_get_tai_ns`, 6.1
    TaiClock,
    /// `bpf_xdp_load_bytes`, 5.18
    XdpLoadBytes,
    /// `bpf_get_socket_cookie` of a pointer, 5.12
    SocketCookie,
    /// kprobes, which a kernel may be built without
    Kprobe,
    /// `BPF_LINK_TYPE_KPROBE_MULTI`, 5.18 with CONFIG_FPROBE
    KprobeMulti,
    /// `BPF_TRACE_KPROBE_SESSION`, 6.10
    KprobeSession,
    /// `bpf_get_func_ip` in probes of processes, 6.6
    UserFunction,
    /// `bpf_task_from_pid`, 6.2
    TaskFromPid,
    /// `bpf_get_func_ret`, 5.17
    FunctionResult,
    /// keys of maps with more than 512 bytes (`MAX_BPF_STACK`, kernel/bpf/hashtab.c), 5.11
    LongKeys,
    /// `bpf_rdonly_cast`, 6.2
    ReadOnlyCast,
    /// `bpf_loop` and `bpf_task_pt_regs`, 5.17
    Unwinding,
    /// traced functions that take structures as arguments, 6.1
    RecordArguments,
}

impl Feature {
    /// The first version that has it, unless a distribution brought it to an older one.
    pub fn since(self) -> KernelVersion {
        let (major, minor) = match self {
            Feature::UprobeMulti => (6, 6),
            Feature::TpBtf => (5, 5),
            Feature::Loop | Feature::Bytewise => (5, 17),
            Feature::CurrentTaskBtf | Feature::LongKeys => (5, 11),
            Feature::ForEachMapElem => (5, 13),
            Feature::LookupPercpuElem => (5, 19),
            Feature::AtomicFetch => (5, 12),
            Feature::AttachCookie => (5, 15),
            Feature::TaiClock | Feature::RecordArguments => (6, 1),
            Feature::SocketCookie => (5, 12),
            Feature::Kprobe => (5, 10),
            Feature::KprobeMulti | Feature::XdpLoadBytes => (5, 18),
            Feature::KprobeSession => (6, 10),
            Feature::UserFunction => (6, 6),
            Feature::TaskFromPid | Feature::ReadOnlyCast => (6, 2),
            Feature::FunctionResult | Feature::Unwinding => (5, 17),
        };
        KernelVersion(major, minor, 0)
    }

    /// What a script can't do without it, and what to do instead.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Feature::UprobeMulti => ("one attachment for many functions", "probe them one by one"),
            Feature::TpBtf => ("typed raw tracepoints", "use `tracepoint:`"),
            Feature::Loop => ("a range whose turns aren't few and known", "give it constant bounds at most 256 apart"),
            Feature::Bytewise => {
                ("going through a text byte by byte", "compare whole texts, `s == \"...\"`, or their beginnings, `starts_with(s, \"...\")`")
            }
            Feature::CurrentTaskBtf => ("the running task with its type", "cast: `(struct task_struct *)curtask`"),
            Feature::ForEachMapElem => ("going through a map", "print it: awl goes through maps on its own"),
            Feature::LookupPercpuElem => ("reading an aggregation with keys", "print it, or keep a plain number: `@x[k] += 1`"),
            Feature::AtomicFetch => ("`++` with its value", "add and read one after the other"),
            Feature::AttachCookie => ("telling the attach points of one program apart", "write one probe for each"),
            Feature::Kprobe => ("probes of the kernel's functions", "use tracepoints"),
            Feature::KprobeMulti => ("one attachment for many functions", "probe them one by one"),
            Feature::KprobeSession => ("one program for entry and return", "nothing: there are two"),
            Feature::SocketCookie => ("the cookie of a socket", "use its address as the key: `(uint64)args.sk`"),
            Feature::UserFunction => {
                ("the address of a program's variable at a function's return", "keep the address at its entry: `@a[tid] = uaddr(...)`")
            }
            Feature::ReadOnlyCast => ("reading structures without a call for each step", "nothing: they are read in another way"),
            Feature::LongKeys => ("keys of more than 512 bytes", "give strings in keys a length: `str(p, 64)`"),
            Feature::TaskFromPid => ("the name of another process", "keep names where they are seen: `@name[pid] = comm`"),
            Feature::FunctionResult => ("the result of a BPF program", "count its runs alone"),
            Feature::Unwinding => {
                ("unwinding a stack without frame pointers", "build the program with `-fno-omit-frame-pointer`, and use `ustack`")
            }
            Feature::XdpLoadBytes => (
                "text of a packet in `xdp`",
                "bytes at a constant place need nothing: `payload[0..16]`; `tc:NAME:ingress` in the place of `xdp:NAME` has all texts",
            ),
            Feature::RecordArguments => {
                ("a function that is handed a structure itself", "probe a function that it calls, or that calls it")
            }
            Feature::TaiClock => ("the clock of atomic time", "use `nsecs(boot)`"),
        }
    }
}
