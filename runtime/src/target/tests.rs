//! Against the kernel and the files that the tests run on.

use super::*;
use std::time::Instant;

fn timed<T>(what: &str, f: impl FnOnce() -> T) -> T {
    let t = Instant::now();
    let r = f();
    eprintln!("{what}: {:?}", t.elapsed());
    r
}

#[test]
fn numbers() {
    assert_eq!(version("6.18.44-fc-v782\n"), KernelVersion(6, 18, 44));
    assert_eq!(version("7.1-rc2"), KernelVersion(7, 1, 0));
    assert_eq!(version(""), KernelVersion(0, 0, 0));
    assert_eq!(cpus_of("0-3,8-11\n"), Some(8));
    assert_eq!(cpus_of("0"), Some(1));
    assert_eq!(cpus_of("3-1"), None);
    assert_eq!(cpus_of(""), None);
}

#[test]
fn this_machine() {
    let t = HostTarget::new();
    assert!(t.kernel() > KernelVersion(4, 0, 0));
    assert!(t.possible_cpus() as usize >= std::thread::available_parallelism().unwrap().get());
    assert_eq!(t.syscall_number("newuname"), t.syscall_number("uname"));
}

#[test]
fn tracepoints_of_this_kernel() {
    let t = HostTarget::new();
    let events = match timed("tracepoints", || t.tracepoints()) {
        Ok(e) => e,
        Err(e) => return eprintln!("skipped: {e}"),
    };
    assert!(events.len() > 100 && events.is_sorted());
    let text = t.tracepoint_format("sched", "sched_switch").unwrap().unwrap();
    assert!(text.contains("field:char prev_comm[16]"));
    assert_eq!(t.tracepoint_format("sched", "no_such"), Ok(None));
    assert_eq!(t.tracepoint_format("no_such", "event"), Ok(None));
    assert_eq!(t.tracepoint_format("..", "events"), Ok(None));
    assert_eq!(t.tracepoint_format("sched/sched_switch", "x"), Ok(None));

    // Every system call that has a tracepoint has a number, by the name of the tracepoint.
    let calls = events.iter().filter_map(|e| e.strip_prefix("syscalls:sys_enter_"));
    let unknown: Vec<&str> = calls.filter(|c| t.syscall_number(c).is_none()).collect();
    assert!(unknown.is_empty(), "no number for {unknown:?}");

    let listed = list(&t, "t:sched:sched_sw*").unwrap();
    assert!(listed.contains(&"tracepoint:sched:sched_switch".to_owned()), "{listed:?}");
    let shown = show(&t, "tracepoint:sched:sched_switch").unwrap();
    assert!(shown.starts_with("tracepoint:sched:sched_switch\n    char prev_comm[16]\n    pid_t prev_pid\n"), "{shown}");
    let fields = describe(&t, "tracepoint:sched:sched_switch").unwrap();
    assert_eq!(fields[0], ("prev_comm".to_owned(), "char prev_comm[16]".to_owned()));
}

#[test]
fn types_of_this_kernel() {
    let t = HostTarget::new();
    let quick = timed("quick search", || t.btf_trace_id("sched_switch"));
    let btf = match timed("index", || t.btf()) {
        Ok(b) => b,
        Err(e) => return eprintln!("skipped: {e}"),
    };
    assert_eq!(quick, btf.trace_typedef("sched_switch"));
    assert_eq!(t.btf_trace_id("no_such_event"), None);
    assert!(t.has(Feature::TpBtf));
    let args = describe(&t, "rawtracepoint:sched_switch").unwrap();
    assert!(args.contains(&("next".to_owned(), "struct task_struct *next".to_owned())), "{args:?}");
    let members = describe(&t, "struct path").unwrap();
    assert_eq!(members, [("mnt".to_owned(), "struct vfsmount *mnt".to_owned()), ("dentry".to_owned(), "struct dentry *dentry".to_owned())]);
    assert_eq!(list(&t, "struct task_struct").unwrap(), ["struct task_struct"]);
    assert_eq!(show(&t, "struct path").unwrap(), "struct path {\n\tstruct vfsmount *mnt;\n\tstruct dentry *dentry;\n};\n");
    assert!(show(&t, "enum pid_type").unwrap().contains("\tPIDTYPE_TGID = 1,\n"));
    assert_eq!(show(&t, "struct no_such").unwrap(), "struct no_such;\n");
    assert!(list(&t, "rawtracepoint:sched_*").unwrap().contains(&"rawtracepoint:sched_switch".to_owned()));
}

#[test]
fn types_from_a_file() {
    let dir = std::env::temp_dir().join(format!("awl-types-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("types");
    let mut b = btf::Builder::new();
    let int = b.int("int", 4, true);
    b.record(false, "mine", 4, &[("x", int, 0, 0)]);
    std::fs::write(&file, b.finish()).unwrap();
    let t = HostTarget::new().with_types(file.clone());
    assert!(t.btf().unwrap().record_named("struct mine").is_some());
    std::fs::write(&file, "no types").unwrap();
    let e = HostTarget::new().with_types(file).btf().map(|_| ()).unwrap_err();
    assert_eq!(e.code, "no-btf");
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(HostTarget::new().with_types("/no/such".into()).btf().map(|_| ()).unwrap_err().code, "no-btf");
}

#[test]
fn symbols_of_this_kernel() {
    let t = HostTarget::new();
    match timed("kallsyms", || t.kernel_symbol("schedule")) {
        Ok(address) => {
            assert!(address.unwrap() > 1 << 63);
            assert!(matches!(t.kernel_symbol("no such symbol"), Ok(None) | Err(Unavailable { code: "no-symbols", .. })));
        }
        Err(e) => eprintln!("skipped: {e}"),
    }
}

/// Asked one by one, and found in the file: the same.
#[test]
fn one_symbol_or_all() {
    let asked = super::lookup::Lookup::default();
    let Some(known) = asked.address("schedule") else {
        return eprintln!("skipped: bpf_kallsyms_lookup_name needs root and Linux 5.16");
    };
    let all = super::kallsyms::Kallsyms::read().unwrap();
    assert!(known.clone().unwrap().is_some());
    assert_eq!(known, all.address("schedule"));
    for name in ["schedule", "vfs_read", "jiffies", "init_task", "no_such_symbol", "x", "_text"] {
        assert_eq!(asked.address(name), Some(all.address(name)), "{name}");
    }
    let (longest, longer) = ("x".repeat(255), "x".repeat(256));
    assert_eq!(asked.address(&longest), Some(all.address(&longest)));
    for strange in ["", "a\0b", &longer] {
        assert_eq!(asked.address(strange), None, "the file knows");
    }
}

/// Functions and their addresses as `nm` reads them, or `None` where there is no `nm`.
fn nm(args: &[&str], path: &str) -> Option<Vec<(String, u64)>> {
    let out = std::process::Command::new("nm").args(args).arg(path).output().ok()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let line = |l: &str| {
        let mut words = l.split_whitespace();
        let address = u64::from_str_radix(words.next()?, 16).ok()?;
        let kind = words.next()?;
        let name = words.next()?.split('@').next()?.to_owned();
        (kind.eq_ignore_ascii_case("t") || kind == "W").then_some((name, address))
    };
    Some(text.lines().filter_map(line).collect())
}

#[test]
fn functions_of_a_library() {
    let t = HostTarget::new();
    let libc = &timed("libc", || t.binaries("libc")).unwrap()[0];
    let malloc = libc.functions.iter().find(|f| f.name == "malloc").unwrap();
    let Some(known) = nm(&["-D"], &libc.path) else { return eprintln!("skipped: no `nm` here") };
    let (_, address) = known.iter().find(|(n, _)| n == "malloc").unwrap();
    let (a, o, _) = libc.segments.iter().find(|(a, _, size)| (*a..a + size).contains(address)).unwrap();
    assert_eq!(malloc.offset, address - a + o);
    assert!(malloc.size > 0);
    assert!(libc.functions.is_sorted_by(|a, b| (&a.name, a.offset) < (&b.name, b.offset)));
}

#[test]
fn functions_of_ourselves() {
    // The tests' own binary has a full table, of tens of thousands of functions.
    let exe = std::env::current_exe().unwrap().to_string_lossy().into_owned();
    let t = HostTarget::new();
    let own = &timed("this binary", || t.binaries(&exe)).unwrap()[0];
    eprintln!("{} functions", own.functions.len());
    assert!(!own.stripped && own.functions.len() > 1000);
    let Some(known) = nm(&[], &exe) else { return eprintln!("skipped: no `nm` here") };
    let mut checked = 0;
    for (name, address) in known.iter().filter(|(n, _)| n.starts_with("_ZN")) {
        let Some((a, o, _)) = own.segments.iter().find(|(a, _, size)| (*a..a + size).contains(address)) else { continue };
        let at = own.functions.partition_point(|f| (&f.name, f.offset) < (name, address - a + o));
        assert_eq!(own.functions.get(at).map(|f| (&f.name, f.offset)), Some((name, address - a + o)));
        checked += 1;
    }
    assert!(checked > 1000, "{checked}");
}

#[test]
fn files_that_cant_be_probed() {
    let t = HostTarget::new();
    assert_eq!(t.binaries("/no/such").unwrap_err().code, "no-file");
    assert_eq!(t.binaries("no-such-program").unwrap_err().code, "no-file");
    assert_eq!(t.binaries("/proc/self/status").unwrap_err().code, "not-elf");
    assert_eq!(t.binaries("/etc/passwd").unwrap_err().code, "not-elf");
    // An ELF header says which processor the program is for, and its byte order.
    let mut bytes = std::fs::read("/proc/self/exe").unwrap();
    for (at, byte, said) in [(18, 243, "a program for another processor"), (5, 2, "a big-endian ELF file")] {
        let path = std::env::temp_dir().join(format!("awl-machine-{byte}-{}", std::process::id()));
        let old = std::mem::replace(&mut bytes[at], byte);
        std::fs::write(&path, &bytes[..64]).unwrap();
        let got = t.binaries(path.to_str().unwrap()).unwrap_err();
        assert!(got.code == "not-elf" && got.message.ends_with(&format!("it is {said}")), "{got:?}");
        bytes[at] = old;
        std::fs::remove_file(&path).unwrap();
    }
    assert_eq!(t.binaries("/no/*/such").unwrap_err().code, "no-file");
    let e = t.binaries("/bin/").unwrap_err();
    assert_eq!((e.message.as_str(), e.help.as_str()), ("`/bin/` is a directory", "`/bin/*` means all programs in it"));
    assert_eq!(t.binaries("libcc").unwrap_err().help, "did you mean `libc`?");
}

#[test]
fn every_cut_and_every_planted_byte_of_a_binary() {
    let dir = std::env::temp_dir().join(format!("awl-elf-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("broken");
    let whole = std::fs::read("/bin/true").unwrap();
    for n in (0..whole.len()).step_by(whole.len() / 150 + 1).chain(0..70) {
        std::fs::write(&file, &whole[..n]).unwrap();
        let _ = elf::read(&file, &[]);
    }
    let mut bytes = whole.clone();
    let tables = whole.len() - 64 * 30;
    for at in (16..64).chain(tables..whole.len()) {
        let saved = bytes[at];
        for planted in [0, 0x7f, 0xff] {
            bytes[at] = planted;
            std::fs::write(&file, &bytes).unwrap();
            let _ = elf::read(&file, &[]);
        }
        bytes[at] = saved;
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

/// Damaged debug information is answered, whatever is damaged.
#[test]
fn planted_bytes_of_debug_information() {
    use std::os::unix::fs::FileExt;
    let dir = std::env::temp_dir().join(format!("awl-dwarf-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let source = "struct s { struct s *next; int a : 3, b; union { long c; char d[2][3]; }; enum { X, Y = -5 } e; };\n\
        typedef const struct s *p; static inline int twice(int n) { return 2 * n; }\n\
        int work(p s, double x, struct s by, int n) { return twice(s->b) + twice(n); }\nint main(void) { return 0; }\n";
    std::fs::write(dir.join("a.c"), source).unwrap();
    for flags in [&["-g", "-O2"][..], &["-gdwarf-4", "-O0"], &["-gdwarf-2", "-O1"]] {
        let (file, of) = (dir.join("a"), dir.join("a.c"));
        match std::process::Command::new("gcc").args(flags).arg("-o").args([&file, &of]).status() {
            Ok(s) => assert!(s.success()),
            Err(_) => return println!("skipped: no gcc here"),
        }
        let whole = std::fs::read(&file).unwrap();
        let work = elf::read(&file, &[]).unwrap();
        let offset = work.functions.iter().find(|f| f.name == "work").unwrap().offset;
        let address = work.segments.iter().find(|(_, o, size)| (*o..o + size).contains(&offset)).map(|(a, o, _)| offset - o + a).unwrap();
        let ask = || -> Result<(usize, dwarf::Line), dwarf::Error> {
            let debug = DebugInfo::of(&file, &[])?;
            let (functions, nodes) = debug.functions(&[address])?;
            // what comes of it is read like the kernel's types
            if let Ok(types) = Btf::foreign(btf::write(&nodes), 1) {
                for f in functions.iter().flatten() {
                    let _ = awl_compiler::probe::convention::signature(f, &types, Arch::X86_64);
                    f.parameters.iter().for_each(|p| drop(types.declare(p.id, &p.name)));
                }
            }
            Ok((functions.iter().flatten().map(|f| f.parameters.len()).sum(), debug.line("a.c", 3, None, &|_| true)?))
        };
        let (parameters, line) = ask().unwrap();
        assert!(parameters == 4 && matches!(line, dwarf::Line::Code(_)), "{flags:?}: {parameters} {line:?}");
        // Compilers write debug information behind all that is loaded.
        let behind = whole.len() / 2;
        let (out, mut seed) = (std::fs::OpenOptions::new().write(true).open(&file).unwrap(), 7u64);
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % below
        };
        for _ in 0..400 {
            let places: Vec<usize> = (0..3).map(|_| behind + random(whole.len() - behind)).collect();
            places.iter().for_each(|at| out.write_all_at(&[random(256) as u8], *at as u64).unwrap());
            let _ = ask();
            places.iter().for_each(|at| out.write_all_at(&[whole[*at]], *at as u64).unwrap());
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

/// Each field has a type as large as its format says, at the place where the kernel's own struct of the event has it.
#[test]
fn every_format_of_this_kernel() {
    use awl_compiler::ctypes::Types;
    use awl_compiler::target::tracefs;
    use awl_compiler::types::{Space, Ty};
    let t = HostTarget::new();
    let events = match t.tracepoints() {
        Ok(e) => e,
        Err(e) => return eprintln!("skipped: {e}"),
    };
    if let Err(e) = t.btf() {
        return eprintln!("skipped: {e}");
    }
    let (types, _) = Types::new(&[], &t);
    let (mut fields, mut compared) = (0, 0);
    for full in events {
        let (category, event) = full.split_once(':').unwrap();
        let Some(text) = t.tracepoint_format(category, event).unwrap() else { continue };
        let format = tracefs::parse(category, event, &text).unwrap();
        let raw = types.lookup_record(&format!("struct trace_event_raw_{event}"));
        for (f, declared) in format.record.fields.iter().zip(&format.declarations) {
            fields += 1;
            let line = text.lines().find(|l| l.contains(&format!("field:{declared};"))).unwrap();
            let size: u32 = line.split("size:").nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
            let ty = types.resolve(&f.ty, Space::Kernel).unwrap_or_else(|e| panic!("{full} {declared}: {e}"));
            let slot = category == "syscalls" && event.starts_with("sys_enter_") && ty.size() < size;
            assert!(slot || f.data_loc || ty.size() == size || matches!(ty, Ty::Record(_)), "{full} {declared}: {ty} for {size} bytes");
            if let Some(raw) = &raw
                && !f.name.starts_with("common_")
                && let Some(own) =
                    raw.fields.iter().find(|o| o.name == f.name || (f.data_loc && o.name == format!("__data_loc_{}", f.name)))
            {
                assert_eq!(own.offset, f.offset, "{full} {}", f.name);
                compared += 1;
            }
        }
    }
    eprintln!("{} events, {fields} fields, {compared} of them in the kernel's types too", events.len());
    assert!(fields > 1000 && compared > 100);
}
