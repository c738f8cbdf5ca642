//! A machine made up of text: what tests compile for, and `awl --emit` where there is no kernel to ask. The same everywhere.

#[cfg(test)]
mod tests;
mod types;

use super::btf::{Btf, Builder};
use super::pmu::Pmu;
use super::{
    Arch, Binary, BpfFunction, Feature, KernelFunction, KernelVersion, Module, StaticProbe, Target, Unavailable, UserAddress, UserFunction,
    UserFunctions, UserLine, UserParameter, UserSymbol, syscalls,
};
use crate::artifact::{Interface, ProgramKind};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// A Linux 6.12 on x86-64 with four CPUs, two dozen tracepoints, a few types and four binaries: `fixture`, `libc`, `mixed` (C++ and Rust) and `gopher` (Go).
pub struct FixtureTarget {
    kernel: KernelVersion,
    arch: Arch,
    cpus: u32,
    btf: Option<Btf>,
    events: Vec<String>,
    /// by `category:event`
    formats: BTreeMap<String, String>,
    functions: Vec<KernelFunction>,
    without: Vec<Feature>,
}

const EVENTS: &str = include_str!("fixture/events.txt");
const TYPES: &str = include_str!("fixture/types.txt");
const FUNCTIONS: &str = include_str!("fixture/functions.txt");

impl Default for FixtureTarget {
    fn default() -> FixtureTarget {
        let formats = formats(EVENTS);
        let home = |name: &str, module: Option<&str>| KernelFunction { name: name.into(), module: module.map(str::to_owned) };
        let mut functions: Vec<_> = FUNCTIONS
            .lines()
            .filter_map(|l| l.strip_prefix("struct ")?.split(' ').next())
            .filter(|n| !n.starts_with("btf_trace_"))
            .map(|n| home(n, None))
            .chain([home("lookup_fast.constprop.0", None), home("up_read", None), home("veth_xmit", Some("veth"))])
            .collect();
        functions.sort();
        FixtureTarget {
            kernel: KernelVersion(6, 12, 0),
            arch: Arch::X86_64,
            cpus: 4,
            // the text is ours; were it broken, it would be as if the kernel had no types, and the tests say so
            btf: Btf::parse(types::write(TYPES, FUNCTIONS, &Blank)).ok(),
            events: formats.keys().cloned().collect(),
            formats,
            functions,
            without: Vec::new(),
        }
    }
}

impl FixtureTarget {
    pub fn new() -> FixtureTarget {
        FixtureTarget::default()
    }

    /// The same, of another architecture. Offsets of tracepoints stay as they are.
    pub fn with_arch(mut self, arch: Arch) -> FixtureTarget {
        self.arch = arch;
        self
    }

    /// The same, as an older or newer kernel; it has what kernels since that version have.
    pub fn with_kernel(mut self, version: KernelVersion) -> FixtureTarget {
        self.kernel = version;
        self
    }

    /// The same without a feature.
    pub fn without(mut self, feature: Feature) -> FixtureTarget {
        self.without.push(feature);
        self
    }

    /// The same as a kernel that doesn't describe its types.
    pub fn without_btf(mut self) -> FixtureTarget {
        self.btf = None;
        self
    }

    /// The same with so many more functions, which have no types: `many_0000` and so on.
    pub fn with_functions(mut self, count: usize) -> FixtureTarget {
        self.functions.extend((0..count).map(|i| KernelFunction { name: format!("many_{i:04}"), module: None }));
        self.functions.sort();
        self
    }

    /// The same with one more tracepoint, or another format for one that it has.
    pub fn with_tracepoint(mut self, category: &str, event: &str, format: &str) -> FixtureTarget {
        self.formats.insert(format!("{category}:{event}"), format.to_owned());
        self.events = self.formats.keys().cloned().collect();
        self
    }
}

/// Format files as the kernel prints them, of the short form in `events.txt`.
fn formats(text: &str) -> BTreeMap<String, String> {
    const COMMON: [&str; 4] = [
        "0 2 0 unsigned short common_type",
        "2 1 0 unsigned char common_flags",
        "3 1 0 unsigned char common_preempt_count",
        "4 4 1 int common_pid",
    ];
    let field = |out: &mut String, line: &str| {
        let mut parts = line.splitn(4, ' ');
        let mut next = || parts.next().unwrap_or_default();
        let (offset, size, signed, declaration) = (next(), next(), next(), next());
        // writing to a string can't fail
        let _ = writeln!(out, "\tfield:{declaration};\toffset:{offset};\tsize:{size};\tsigned:{signed};");
    };
    let mut out: BTreeMap<String, String> = BTreeMap::new();
    let mut at = None;
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        match (line.strip_prefix('\t'), &at) {
            (Some(line), Some(event)) => {
                if let Some(text) = out.get_mut(event) {
                    field(text, line);
                }
            }
            _ => {
                let name = line.split_once(':').map_or(line, |(_, e)| e);
                let mut text = format!("name: {name}\nID: {}\nformat:\n", out.len() + 100);
                COMMON.iter().for_each(|c| field(&mut text, c));
                text.push('\n');
                out.insert(line.to_owned(), text);
                at = Some(line.to_owned());
            }
        }
    }
    for text in out.values_mut() {
        text.push_str("\nprint fmt: \"\"\n");
    }
    out
}

impl Target for FixtureTarget {
    fn kernel(&self) -> KernelVersion {
        self.kernel
    }

    fn arch(&self) -> Arch {
        self.arch
    }

    fn possible_cpus(&self) -> u32 {
        self.cpus
    }

    fn tracepoints(&self) -> Result<&[String], Unavailable> {
        Ok(&self.events)
    }

    fn tracepoint_format(&self, category: &str, event: &str) -> Result<Option<String>, Unavailable> {
        Ok(self.formats.get(&format!("{category}:{event}")).cloned())
    }

    fn pmu(&self, name: &str) -> Result<Option<Pmu>, Unavailable> {
        let owned = |list: &[(&str, &str)]| list.iter().map(|(n, t)| (n.to_string(), t.to_string())).collect();
        Ok((name == "cpu").then(|| Pmu {
            name: name.to_owned(),
            kind: 4,
            formats: owned(&[("event", "config:0-7,32-35"), ("umask", "config:8-15"), ("edge", "config:18"), ("ldlat", "config1:0-15")]),
            events: owned(&[("cache-misses", "event=0x64,umask=0x9"), ("mem-loads", "event=0xcd,umask=0x1,ldlat=?")]),
        }))
    }

    fn pmus(&self) -> Vec<String> {
        vec!["cpu".into()]
    }

    fn syscall_number(&self, name: &str) -> Option<u32> {
        syscalls::number(self.arch, name)
    }

    fn btf(&self) -> Result<&Btf, Unavailable> {
        self.btf.as_ref().ok_or_else(no_btf)
    }

    fn btf_trace_id(&self, event: &str) -> Option<u32> {
        self.btf.as_ref()?.trace_typedef(event)
    }

    fn kernel_symbol(&self, name: &str) -> Result<Option<u64>, Unavailable> {
        const SYMBOLS: &[(&str, u64)] = &[
            ("_stext", 0xffff_ffff_8100_0000),
            ("schedule", 0xffff_ffff_8110_0000),
            ("vfs_read", 0xffff_ffff_8120_0000),
            ("do_nanosleep", 0xffff_ffff_8130_0000),
            ("jiffies", 0xffff_ffff_8260_0000),
        ];
        Ok(SYMBOLS.iter().find(|(n, _)| *n == name).map(|(_, a)| *a))
    }

    fn binaries(&self, pattern: &str) -> Result<Vec<Binary>, Unavailable> {
        let all = [
            ("/usr/bin/fixture", "fixture", &["main", "helper", "read_line", "write_line", "work", "work_more"][..]),
            ("/usr/lib/libc.so.6", "libc", &["malloc", "free", "calloc", "read", "write", "puts"][..]),
            ("/usr/bin/mixed", "mixed", &["_ZN3box4growEi", "_ZN3box4growEic", "_ZN3app4work17h0123456789abcdefE"][..]),
            ("/usr/bin/gopher", "gopher", &["main.main", "main.work", "x_cgo_init"][..]),
        ];
        let glob = crate::glob::Glob::new(pattern);
        let meant = |path: &str, name: &str| pattern == name || glob.matches(path);
        let found: Vec<Binary> = all.iter().filter(|(p, n, _)| meant(p, n)).map(|(p, _, f)| binary(p, f)).collect();
        if found.is_empty() {
            return Err(Unavailable {
                code: "no-file",
                message: format!("`{pattern}` is neither a program in PATH nor a library"),
                help: "give its whole path".into(),
            });
        }
        Ok(found)
    }

    fn user_symbol(&self, path: &str, name: &str) -> Result<Option<UserAddress>, Unavailable> {
        let variables = [("counter", 0x404010, 4), ("limit", 0x404020, 8), ("table", 0x404040, 40)];
        let fixed = path.ends_with("gopher");
        Ok(variables.into_iter().find(|(n, ..)| *n == name).map(|(_, address, size)| UserAddress { address, size, fixed }))
    }

    fn code_address(&self, path: &str, offset: u64) -> Option<u64> {
        binary(path, &[]).segments.iter().find(|(_, o, size)| (*o..o + size).contains(&offset)).map(|(a, o, _)| a + (offset - o))
    }

    fn user_functions(&self, path: &str, offsets: &[u64]) -> Result<UserFunctions, Unavailable> {
        let Some(types) = self.foreign(1).filter(|_| path.ends_with("fixture")) else {
            return Err(Unavailable {
                code: "no-debuginfo",
                message: format!("`{path}` has no debug information"),
                help: "compile it with `-g`".into(),
            });
        };
        // In the order of their names: helper(struct item *item, short n, double x, struct item copy), work(int n)
        let p = |name: &str, id| UserParameter { name: name.into(), id, ..UserParameter::default() };
        let helper = UserFunction { parameters: vec![p("item", 5), p("n", 2), p("x", 3), p("copy", 4)], ret: 1, ..UserFunction::default() };
        let work = UserFunction { parameters: vec![p("n", 1)], ret: 5, ..UserFunction::default() };
        let at = |o: &u64| match o {
            0x1040 => Some(helper.clone()),
            0x1100 | 0x1140 => Some(work.clone()),
            _ => None,
        };
        Ok(UserFunctions { types, functions: offsets.iter().map(at).collect() })
    }

    fn user_line(&self, _: &str, file: &str, line: u64, _: Option<u64>) -> Result<UserLine, Unavailable> {
        Ok(match (file, line) {
            ("fixture.c", 12) => UserLine::Code(vec![0x1048]),
            ("fixture.c", 13) => UserLine::Code(vec![0x1050, 0x1110]),
            ("fixture.c", l) => UserLine::NoCode { next: Some(12).filter(|n| *n > l), columns: Vec::new() },
            _ => UserLine::NoFile(vec!["/src/fixture.c".into(), "/src/other.c".into()]),
        })
    }

    fn foreign(&self, origin: u32) -> Option<Arc<Btf>> {
        let mut b = Builder::new();
        let int = b.int("int", 4, true);
        let short = b.int("short", 2, true);
        b.float("double", 8);
        let char = b.len() + 3;
        b.record(false, "item", 32, &[("next", 5, 0, 0), ("count", int, 64, 0), ("kind", short, 96, 0), ("name", char + 1, 128, 0)]);
        b.ptr(4);
        b.int("char", 1, true);
        b.array(char, 16);
        Btf::foreign(b.finish(), origin).ok().map(Arc::new)
    }

    fn interfaces(&self) -> Result<Vec<Interface>, Unavailable> {
        Ok(["lo", "eth0", "eth1"].into_iter().zip(1..).map(|(name, index)| Interface { name: name.into(), index }).collect())
    }

    fn cgroup_id(&self, path: &str) -> Result<u64, Unavailable> {
        match path {
            "/sys/fs/cgroup" => Ok(1),
            "/sys/fs/cgroup/fixture" | "fixture" => Ok(4242),
            _ => Err(Unavailable {
                code: "no-cgroup",
                message: format!("`{path}` is no directory of cgroup v2"),
                help: "cgroups are below `/sys/fs/cgroup`".into(),
            }),
        }
    }

    fn kernel_functions(&self) -> Result<&[KernelFunction], Unavailable> {
        Ok(&self.functions)
    }

    fn homes_of_function(&self, name: &str) -> Result<Vec<Option<String>>, Unavailable> {
        Ok(self.functions.iter().filter(|f| f.name == name).map(|f| f.module.clone()).collect())
    }

    fn module(&self, name: &str) -> Module {
        match name {
            "veth" => Module::Loaded,
            "nf_tables" | "xfs" => Module::Loadable,
            "tcp_cubic" => Module::BuiltIn,
            _ => Module::Unknown,
        }
    }

    fn modules(&self) -> Vec<String> {
        ["veth", "nf_tables", "xfs"].map(str::to_owned).into()
    }

    fn module_of(&self, function: &str) -> Option<String> {
        (function == "nft_do_chain").then(|| "nf_tables".to_owned())
    }

    fn bpf_functions(&self) -> Result<Vec<BpfFunction>, Unavailable> {
        let mut b = super::btf::Builder::new();
        let long = b.int("long", 8, true);
        let names = ["balance", "balance_packet", "guard"];
        let ids: Vec<u32> = names.iter().map(|n| b.func(n, long, &[("ctx", long)])).collect();
        let types = std::sync::Arc::new(Btf::parse(b.finish()).map_err(|_| no_btf())?);
        let all = names.iter().zip(ids).zip([(7, 6), (8, 3), (9, 26)]);
        let function = |((name, btf_id), (program, kind)): ((&&str, u32), (u32, u32))| BpfFunction {
            program,
            kind,
            name: (*name).to_owned(),
            btf_id,
            types: std::sync::Arc::clone(&types),
        };
        Ok(all.map(function).collect())
    }

    fn kfunc_allowed(&self, name: &str, kind: ProgramKind) -> Result<bool, Unavailable> {
        use ProgramKind::{Fentry, Fexit, Iter, Lsm, TpBtf};
        let known = self.btf()?.find(super::btf::Kind::Func, name).is_some();
        let tracing = matches!(kind, TpBtf { .. } | Fentry { .. } | Fexit { .. } | Iter { .. } | Lsm { .. });
        Ok(known && name.starts_with("bpf_task_") && tracing && self.has(Feature::TaskFromPid))
    }

    fn has(&self, feature: Feature) -> bool {
        let types = !matches!(feature, Feature::TpBtf | Feature::CurrentTaskBtf) || self.btf.is_some();
        types && self.kernel >= feature.since() && !self.without.contains(&feature)
    }
}

/// Functions of 64 bytes each, 4 KB into the file, and a static probe.
fn binary(path: &str, names: &[&str]) -> Binary {
    let mut functions: Vec<UserSymbol> =
        names.iter().enumerate().map(|(i, n)| UserSymbol { name: (*n).to_owned(), offset: 0x1000 + 64 * i as u64, size: 64 }).collect();
    functions.sort_by(|a, b| a.name.cmp(&b.name));
    let probe = StaticProbe {
        provider: "fixture".to_owned(),
        name: "reached".to_owned(),
        offset: 0x1008,
        semaphore: 0x3000,
        arguments: "-4@%eax 8@-16(%rbp)".to_owned(),
    };
    Binary {
        path: path.to_owned(),
        functions,
        segments: vec![(0x401000, 0x1000, 0x1000)],
        stripped: false,
        go: path.ends_with("gopher"),
        statics: vec![probe],
    }
}

fn no_btf() -> Unavailable {
    Unavailable {
        code: "no-btf",
        message: "this kernel doesn't describe its types (/sys/kernel/btf/vmlinux is missing)".into(),
        help: "needs a kernel built with CONFIG_DEBUG_INFO_BTF=y: `zgrep BTF /proc/config.gz` tells".into(),
    }
}

/// A machine of which nothing is known but that its longs have eight bytes.
struct Blank;

impl Target for Blank {
    fn interfaces(&self) -> Result<Vec<Interface>, Unavailable> {
        Ok(Vec::new())
    }

    fn kernel(&self) -> KernelVersion {
        KernelVersion(0, 0, 0)
    }
    fn arch(&self) -> Arch {
        Arch::X86_64
    }
    fn possible_cpus(&self) -> u32 {
        1
    }
    fn tracepoints(&self) -> Result<&[String], Unavailable> {
        Ok(&[])
    }
    fn tracepoint_format(&self, _: &str, _: &str) -> Result<Option<String>, Unavailable> {
        Ok(None)
    }
    fn pmu(&self, _: &str) -> Result<Option<Pmu>, Unavailable> {
        Ok(None)
    }
    fn pmus(&self) -> Vec<String> {
        Vec::new()
    }
    fn syscall_number(&self, _: &str) -> Option<u32> {
        None
    }
    fn btf(&self) -> Result<&Btf, Unavailable> {
        Err(no_btf())
    }
    fn btf_trace_id(&self, _: &str) -> Option<u32> {
        None
    }
    fn kernel_symbol(&self, _: &str) -> Result<Option<u64>, Unavailable> {
        Ok(None)
    }
    fn binaries(&self, _: &str) -> Result<Vec<Binary>, Unavailable> {
        Ok(Vec::new())
    }
    fn user_symbol(&self, _: &str, _: &str) -> Result<Option<UserAddress>, Unavailable> {
        Ok(None)
    }
    fn code_address(&self, _: &str, _: u64) -> Option<u64> {
        None
    }

    fn user_functions(&self, _: &str, _: &[u64]) -> Result<UserFunctions, Unavailable> {
        Err(no_btf())
    }
    fn user_line(&self, _: &str, _: &str, _: u64, _: Option<u64>) -> Result<UserLine, Unavailable> {
        Err(no_btf())
    }
    fn foreign(&self, _: u32) -> Option<Arc<Btf>> {
        None
    }
    fn cgroup_id(&self, _: &str) -> Result<u64, Unavailable> {
        Err(no_btf())
    }
    fn kernel_functions(&self) -> Result<&[KernelFunction], Unavailable> {
        Ok(&[])
    }
    fn homes_of_function(&self, _: &str) -> Result<Vec<Option<String>>, Unavailable> {
        Ok(Vec::new())
    }
    fn bpf_functions(&self) -> Result<Vec<BpfFunction>, Unavailable> {
        Ok(Vec::new())
    }
    fn kfunc_allowed(&self, _: &str, _: ProgramKind) -> Result<bool, Unavailable> {
        Ok(false)
    }
    fn has(&self, _: Feature) -> bool {
        false
    }
}
