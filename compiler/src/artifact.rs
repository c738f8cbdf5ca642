//! What the compiler hands to the runtime: the object, and everything that the object's bytes can't say.

mod print;

use crate::types::{StackKind, StackMode, Ty};
use awl_grammar::span::Span;
use std::sync::Arc;

pub use print::print;

/// A compiled script. The same source, `Target` and options give the same artifact, byte for byte.
#[derive(Clone, Debug, Default)]
pub struct Artifact {
    /// ELF object: one section per program, `.maps`, data sections, `.BTF`, `.BTF.ext`, `license`
    pub object: Vec<u8>,
    pub programs: Vec<Program>,
    pub plan: Plan,
}

/// Maps, data sections, events and strings: made by lowering, read by the runtime.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub maps: Vec<Map>,
    pub kernel_maps: Vec<KernelMap>,
    pub sections: Vec<Section>,
    /// indexed by the event id in a ring-buffer record
    pub events: Vec<Event>,
    /// what `u32` string indices in values refer to (strftime formats, cgroup filters)
    pub strings: Vec<String>,
    /// `"tracepoint:sched:sched_switch"` of every attach point after expansion; index is its number
    pub points: Vec<String>,
    /// CPUs that data sections with `per_cpu` have a slot for: a power of two not less than the possible CPUs
    pub cpu_slots: u32,
    /// spans of the helper calls that can fail, by number: `helper_error` events carry it
    pub calls: Vec<(Span, &'static str)>,
    /// verdicts that are counted and not applied
    pub watched: Vec<Watched>,
    /// pages of each CPU's buffer for packets, a power of two
    pub packet_pages: u32,
    /// functions of the kernel that programs call, by the number that stands in the call
    pub kfuncs: Vec<Kfunc>,
}

/// A function of the kernel that programs may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kfunc {
    pub name: String,
    /// its type in vmlinux
    pub btf_id: u32,
}

/// A kernel map of the object's `.maps` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelMap {
    /// symbol in the object
    pub name: String,
    pub kind: MapKind,
    /// bytes; for the ring buffer 0
    pub key_size: u32,
    /// bytes; of one CPU for per-CPU maps; for the ring buffer 0
    pub value_size: u32,
    /// for the ring buffer, bytes
    pub max_entries: u32,
    pub pin: Option<Pin>,
    /// the stacks that it holds
    pub stacks: Option<StackStore>,
}

/// What a map of stacks holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StackStore {
    pub frames: FrameForm,
    /// most frames of a stack
    pub limit: u16,
}

/// A frame in a map of stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameForm {
    /// `u64` address
    Address,
    /// `struct bpf_stack_build_id`: `{ i32 status; u8 build_id[20]; u64 offset or address }`
    BuildId,
    /// `u64` address, in a hash by `u64` that programs write themselves
    Unwound,
}

impl FrameForm {
    /// bytes
    pub fn size(self) -> u32 {
        match self {
            FrameForm::Address | FrameForm::Unwound => 8,
            FrameForm::BuildId => 32,
        }
    }
}

impl StackStore {
    pub fn of(kind: StackKind, mode: StackMode, limit: u16) -> StackStore {
        let frames = match (kind, mode) {
            (StackKind::Unwound, _) => FrameForm::Unwound,
            (StackKind::User, StackMode::BuildId) => FrameForm::BuildId,
            _ => FrameForm::Address,
        };
        StackStore { frames, limit }
    }
}

/// A map that outlives the script: what it is called, and the types that its BTF tells others (`described`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    pub name: String,
    pub keys: Vec<Ty>,
    pub value: Ty,
}

/// Values are the kernel's `enum bpf_map_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum MapKind {
    Hash = 1,
    Array = 2,
    PerfEventArray = 4,
    PercpuHash = 5,
    PercpuArray = 6,
    StackTrace = 7,
    LruHash = 9,
    LruPercpuHash = 10,
    LpmTrie = 11,
    /// interfaces by index, or CPUs by their number, that XDP programs send packets to
    DevMap = 14,
    CpuMap = 16,
    TaskStorage = 29,
    Queue = 22,
    Stack = 23,
    Ringbuf = 27,
    BloomFilter = 30,
}

/// A map of the script.
#[derive(Clone, Debug)]
pub struct Map {
    /// without `@`
    pub name: String,
    /// types of the keys, none for `@x = 1`. One key of a tuple type is one key. In the kernel several keys are laid out
    /// as the tuple of them.
    pub keys: Vec<Ty>,
    pub value: Ty,
    pub storage: Storage,
    /// where it got its value type
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// index into `kernel_maps`; per-CPU kinds hold one slot of the value type for each possible CPU
    Kernel(usize),
    /// no keys: `value` bytes at `offset` of section `section`, then (8-aligned) a `u64` that is not 0 once assigned.
    /// In a per-CPU section each CPU has such a slot.
    Slot { section: usize, offset: u32 },
}

/// Plain memory that programs address directly: an array map of one element.
#[derive(Clone, Debug)]
pub struct Section {
    /// ELF section and symbol name: `.rodata.awl`, `.bss.awl`, `.bss.percpu`, `.bss.scratch`
    pub name: String,
    /// bytes in all
    pub size: u32,
    /// bytes from one CPU's part to the next, a multiple of 64; 0 when there is one part
    pub per_cpu: u32,
    /// initial bytes, shorter than `size` where the rest is zero
    pub init: Vec<u8>,
    pub readonly: bool,
    /// the runtime reads or writes it while programs run (mapped into its memory)
    pub mapped: bool,
}

/// Offsets in the section `.bss.awl` that the runtime and every program agree on, in bytes.
pub mod global {
    /// `u64`: not 0 once a program called `exit()`; programs return at once then
    pub const EXIT: u32 = 0;
    /// `u64`: exit status that `exit(n)` gave
    pub const EXIT_CODE: u32 = 8;
    /// `u64`: `ktime_get_ns` at start, written by the runtime before anything is attached (`elapsed`)
    pub const START_NS: u32 = 16;
    /// `u64`: realtime minus boottime in ns at start (`strftime`, `nsecs(tai)`)
    pub const BOOT_TO_REAL_NS: u32 = 24;
    /// `u64`: always 0, which the verifier can't know
    pub const ZERO: u32 = 32;
    /// `u64` each: positional and runtime values; first free byte
    pub const FIRST_FREE: u32 = 64;
}

/// Counters at the start of each CPU's part of `.bss.percpu`, in bytes.
pub mod percpu {
    /// `u64`: events that found no place in the ring buffer
    pub const LOST: u32 = 0;
    /// `u64`: strings cut at their capacity
    pub const TRUNCATED: u32 = 8;
    /// `u64`: failed helper calls other than those
    pub const HELPER_FAILED: u32 = 16;
    /// `u64`: stacks that could not be taken
    pub const STACK_FAILED: u32 = 24;
    /// `u64`: runs of a program that found no free scratch
    pub const SCRATCH_BUSY: u32 = 32;
    /// `u64`: loops ended after as many turns as the kernel allows
    pub const LOOP_CUT: u32 = 40;
    /// `u64`: stacks whose end was not reached for want of information about a frame
    pub const UNWIND_CUT: u32 = 48;
    /// `u64`: stacks of processes without tables, which the kernel walked along frame pointers
    pub const NO_TABLES: u32 = 56;
    /// `u64` per map follow from here: updates that failed (full map), by index into `Plan::maps`; all CPUs add to the first's
    pub const MAP_FAILED: u32 = 64;
}

/// A record in the ring buffer starts with `{ u32 event; u32 point; }` (index into `Plan::events`, index into
/// `Plan::points`); its arguments follow from byte 8 at the offsets given.
pub const EVENT_HEADER: u32 = 8;

#[derive(Clone, Debug)]
pub struct Event {
    pub kind: EventKind,
    /// size of the record in bytes, header included (at most; `EventKind` says which may be shorter)
    pub size: u32,
    pub args: Vec<EventArg>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct EventArg {
    pub ty: Ty,
    /// bytes from the start of the record
    pub offset: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// `exit(n)`: the argument is the status, an int64
    Exit,
    Printf(Arc<Format>),
    Errorf(Arc<Format>),
    Warnf(Arc<Format>),
    /// `cat(fmt, ...)`: prints the file of that name
    Cat(Arc<Format>),
    /// `system(fmt, ...)`
    System(Arc<Format>),
    /// `print(e)`: one argument
    PrintValue,
    /// `print(@m)`: index into `Plan::maps`; args: top and div, int64 each, 0 where absent
    PrintMap(usize),
    /// the same, and nothing is left in the map
    TakeMap(usize),
    /// `print(@m[k])`: one tuple argument (map's keys..., value); the map's index
    PrintMapItem(usize),
    Clear(usize),
    Zero(usize),
    /// an entry of a map that programs may not write: its key and value (0: none), uint32 each; the map's index
    Fill(usize),
    /// `unwatch(address)`: the watchpoints of the address, a uint64, are taken away
    Unwatch,
    /// `print_stats()`
    Losses,
    /// `skboutput(file, ...)`: a time (ns since boot), the packet's length and how much is left out at its start, uint64 each;
    /// the packet follows. Comes by a perf buffer.
    Packet {
        file: String,
    },
    /// `time(fmt)`
    Time(String),
    /// `join(argv, delimiter)`: one argument, a tuple of how many strings there are (int64) and room for as many as there may be
    Join {
        delimiter: String,
    },
    /// a helper failed: args: index into `Plan::calls` (u32), return code (i32)
    HelperError,
}

/// A parsed printf format.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Format {
    pub pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    Text(String),
    Verb(Verb),
}

/// `%[flags][width][.precision][length]conversion`; `length` is dropped: the argument's type knows better.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Verb {
    pub minus: bool,
    pub plus: bool,
    pub space: bool,
    pub alt: bool,
    pub zero: bool,
    pub width: Option<u32>,
    pub precision: Option<u32>,
    /// `h`, `hh`, `l`, `ll`, `j`, `z`, `t` as written
    pub length: String,
    /// `d i u o x X c p s`, or `r`, `rx`, `rh` (buffers)
    pub conversion: String,
}

/// One BPF program.
#[derive(Clone, Debug)]
pub struct Program {
    /// symbol in the object
    pub name: String,
    pub kind: ProgramKind,
    /// the probe's attach points in the source
    pub span: Span,
    /// the places where it is attached: all of them, or none when the script is refused
    pub attach: Vec<Attach>,
    /// instructions after emission
    pub insns: u32,
    /// stack bytes
    pub frame: u32,
}

/// Kernel program type with its expected attach type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProgramKind {
    /// begin, end, self: run by `BPF_PROG_TEST_RUN`; also raw tracepoints without BTF
    RawTracepoint,
    /// `BPF_PROG_TYPE_TRACING`, `BPF_TRACE_RAW_TP`; the `btf_trace_*` typedef's id goes into `attach_btf_id`
    TpBtf {
        btf_id: u32,
    },
    /// `BPF_TRACE_FENTRY` and `BPF_TRACE_FEXIT` of the function with that id
    Fentry {
        btf_id: u32,
    },
    Fexit {
        btf_id: u32,
    },
    /// `BPF_TRACE_ITER`
    Iter {
        btf_id: u32,
    },
    Tracepoint,
    /// kprobe, kretprobe, uprobe, uretprobe, USDT. The `Multi` kinds are for links to many functions.
    Kprobe,
    UprobeMulti,
    KprobeMulti,
    /// entry and return of many functions, 6.10
    KprobeSession,
    PerfEvent,
    Xdp,
    /// `BPF_PROG_TYPE_SCHED_CLS`
    Tc,
    SocketFilter,
    Cgroup(CgroupHook),
    /// `BPF_PROG_TYPE_LSM`: id of the function `bpf_lsm_HOOK`
    Lsm {
        btf_id: u32,
    },
    /// `BPF_MODIFY_RETURN`
    ModifyReturn {
        btf_id: u32,
    },
}

impl ProgramKind {
    pub fn is_fexit(self) -> bool {
        matches!(self, ProgramKind::Fexit { .. })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    /// index into `Plan::points`
    pub point: usize,
    /// the attach point's span
    pub span: Span,
    pub to: AttachTo,
}

impl Attach {
    /// How many places it is attached to: none where it is run.
    pub fn places(&self) -> usize {
        match &self.to {
            AttachTo::Kprobe { sites, .. } => sites.len(),
            AttachTo::Uprobe { sites, .. } => sites.len(),
            AttachTo::Begin | AttachTo::End | AttachTo::SelfSignal(_) | AttachTo::Test | AttachTo::Bench => 0,
            _ => 1,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachTo {
    /// run once before everything else is attached, in source order
    Begin,
    /// run once after everything else is detached, in source order
    End,
    /// run when awl itself gets this signal (`SIGUSR1` is 10)
    SelfSignal(i32),
    /// run once when tests are asked for
    Test,
    /// run many times when benchmarks are asked for
    Bench,
    /// perf tracepoint: category and event as in tracefs
    Tracepoint {
        category: String,
        event: String,
    },
    /// `BPF_RAW_TRACEPOINT_OPEN` by name; for `TpBtf` programs the name is for messages
    RawTracepoint {
        name: String,
        /// whose types `btf_id` is of; `None`: the kernel's own
        module: Option<String>,
    },
    /// on one CPU
    Interval {
        period_ns: u64,
    },
    /// on every online CPU
    Profile(Rate),
    /// `PERF_TYPE_SOFTWARE` on every online CPU; `config` as in `perf_event.h`
    Software {
        config: u64,
        period: u64,
    },
    /// `PERF_TYPE_HARDWARE`, likewise
    Hardware {
        config: u64,
        period: u64,
    },
    /// an event of a source of counters in sysfs, on every CPU that the source counts for
    Pmu {
        /// of the source
        name: String,
        /// `type` and `config`, `config1`, `config2` of `perf_event_attr`
        kind: u32,
        config: [u64; 3],
        period: u64,
    },
    /// a hardware breakpoint
    Watchpoint {
        address: u64,
        bytes: u64,
        /// `HW_BREAKPOINT_*`
        mode: u32,
    },
    /// a network device, by its number in the network namespace that awl runs in
    Xdp {
        interface: Interface,
        mode: XdpMode,
    },
    Tc {
        interface: Interface,
        egress: bool,
    },
    /// a packet socket of our own
    Socket {
        interface: Interface,
    },
    /// a cgroup's directory
    Cgroup {
        path: String,
        hook: CgroupHook,
    },
    /// what the program itself says: LSM hooks, functions
    Trampoline,
    Uprobe {
        binary: String,
        sites: Vec<UprobeSite>,
        ret: bool,
    },
    /// read through once everything is attached
    Iter {
        name: String,
        /// left there for those who read it: a name in the bpf file system, or a whole path
        pin: Option<String>,
    },
    /// a function that the program was loaded for
    Function {
        /// `None`: of the kernel itself
        module: Option<String>,
        name: String,
    },
    /// a function of another BPF program, which the program was loaded for
    BpfProgram {
        id: u32,
        name: String,
    },
    /// functions of the kernel
    Kprobe {
        sites: Vec<KprobeSite>,
        ret: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    Hz(u64),
    PeriodNs(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UprobeSite {
    /// index into `Plan::points` (the link's cookie)
    pub point: usize,
    /// file offset, bytes
    pub offset: u64,
    /// file offset of the counter (16 bits) that the kernel keeps above zero while the site is probed; 0: none
    pub semaphore: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub index: u32,
}

/// What a cgroup's program is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CgroupHook {
    Ingress,
    Egress,
    Connect4,
    Connect6,
    Bind4,
    Bind6,
    Sendmsg4,
    Sendmsg6,
    SockOps,
}

/// Where in the kernel an XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// in the driver where it can, else in the stack
    Any,
    Native,
    Generic,
    Offload,
}

/// What the packets of a program came to where verdicts are only watched: for each kind of verdict a `u64` in each CPU's part
/// of `.bss.percpu`, from `offset` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// index into `Artifact::programs`
    pub program: usize,
    /// bytes
    pub offset: u32,
    /// the verbs that are said where nothing happened: what the script may come to
    pub may: Vec<&'static str>,
    /// what each counter stands for, as a verb ("drop"); empty where nothing would have happened
    pub words: Vec<&'static str>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct KprobeSite {
    /// index into `Plan::points` (the link's cookie)
    pub point: usize,
    /// as the kernel looks it up: `vfs_read`, `xfs:xfs_file_open`; empty where `offset` is an address
    pub symbol: String,
    /// bytes from the function's start, or the address
    pub offset: u64,
    /// the attach point's span
    pub span: Span,
}

/// Without the span, which those who read a plan know from the script.
impl std::fmt::Debug for KprobeSite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let KprobeSite { point, symbol, offset, .. } = self;
        f.debug_struct("KprobeSite").field("point", point).field("symbol", symbol).field("offset", offset).finish()
    }
}
