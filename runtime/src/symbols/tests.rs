use super::*;

#[inline(never)]
fn a_function_of_ours() -> u64 {
    std::hint::black_box(7)
}

fn me() -> u32 {
    std::process::id()
}

/// Waits until a process that was just started has mapped the code of a file; where.
fn mapped_code(tgid: u32, file: &str) -> u64 {
    for _ in 0..500 {
        std::thread::sleep(std::time::Duration::from_millis(10));
        let maps = std::fs::read_to_string(format!("/proc/{tgid}/maps")).unwrap();
        let line = maps.lines().find(|l| l.contains("r-xp") && l.contains(file));
        if let Some(start) = line.and_then(|l| l.split('-').next()) {
            return u64::from_str_radix(start, 16).unwrap();
        }
    }
    panic!("{file} is not mapped");
}

#[test]
fn our_own_functions_have_rust_names() {
    let addr = a_function_of_ours as *const () as u64;
    let mut symbols = Symbols::default();
    let frames = symbols.user(me(), addr + 1);
    let frame = frames.last().expect("a symbol");
    assert!(frame.name.ends_with("a_function_of_ours"), "{frame:?}");
    assert!(!frame.name.contains("_ZN") && !frame.name.starts_with("_R"));
    assert_eq!(frame.offset, 1);
    let module = frame.module.clone().expect("a module");
    assert!(module.contains("awl_runtime"), "{module}");
    a_function_of_ours();
}

#[test]
fn mangled_names_on_request() {
    let addr = a_function_of_ours as *const () as u64;
    let mut symbols = Symbols::new(Options { demangle: false, ..Options::default() });
    let frames = symbols.user(me(), addr);
    let name = &frames.last().expect("a symbol").name;
    assert!(name.starts_with("_ZN") || name.starts_with("_R"), "{name}");
}

#[test]
fn unknown_addresses_and_processes_have_no_frames() {
    let mut symbols = Symbols::default();
    assert!(symbols.user(me(), 5).is_empty());
    assert!(symbols.user(u32::MAX, 0x1234_5678).is_empty());
    assert!(symbols.user(0, 0x1234_5678).is_empty());
    assert!(symbols.kernel(5).is_empty());
}

#[test]
fn a_remembered_process_may_exit() {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let tgid = child.id();
    let libc = mapped_code(tgid, "libc.so");
    let mut symbols = Symbols::default();
    symbols.remember(tgid);
    let mut fresh = Symbols::default();
    child.kill().unwrap();
    child.wait().unwrap();
    let named = (0..64).any(|page| !symbols.user(tgid, libc + page * 4096 + 64).is_empty());
    assert!(named, "some address of libc has a name after the exit");
    assert!(fresh.user(tgid, libc + 4096).is_empty());
    symbols.forget(tgid);
    assert!(symbols.user(tgid, libc + 4096).is_empty());
}

#[test]
fn answers_are_kept() {
    let mut symbols = Symbols::default();
    let frame = Frame { name: "f".into(), offset: 4, ..Frame::default() };
    symbols.define_kernel(5, vec![frame.clone()]);
    symbols.define_user(1, 5, vec![frame.clone()]);
    assert_eq!(symbols.kernel(5)[0], frame);
    assert_eq!(symbols.user(1, 5)[0], frame);
    assert!(symbols.symbolizer.is_none(), "nothing was read");
}

/// Needs a readable symbol table of the kernel, as root has it.
#[test]
fn kernel_functions() {
    let table = std::fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    let symbol = table.lines().find_map(|line| {
        let (addr, name) = line.split_once(" T ")?;
        let addr = u64::from_str_radix(addr, 16).ok()?;
        (addr != 0 && name == "vfs_read").then_some(addr)
    });
    let Some(addr) = symbol else {
        return eprintln!("skipped: /proc/kallsyms shows no addresses");
    };
    let mut symbols = Symbols::default();
    let frames = symbols.kernel(addr + 3);
    assert_eq!(frames.len(), 1);
    assert_eq!((&*frames[0].name, frames[0].offset), ("vfs_read", 3));
    assert_eq!(frames[0].module, None);
}

#[test]
fn the_vdso_has_names() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let Some(line) = maps.lines().find(|l| l.ends_with("[vdso]")) else {
        return eprintln!("skipped: this kernel maps no vdso");
    };
    let range = line.split(' ').next().unwrap();
    let (start, end) = range.split_once('-').unwrap();
    let parse = |s| u64::from_str_radix(s, 16).unwrap();
    let addrs: Vec<u64> = (parse(start)..parse(end)).step_by(16).collect();
    let mut symbols = Symbols::default();
    symbols.user_all(me(), &addrs);
    let named: Vec<Frame> = addrs.iter().filter_map(|&a| symbols.user(me(), a).last().cloned()).collect();
    assert!(named.iter().any(|f| f.name.contains("vdso")), "{named:?}");
    assert!(named.iter().all(|f| f.module.as_deref() == Some("[vdso]")));
}

#[test]
fn code_made_at_run_time_has_the_names_of_its_perf_map() {
    // large enough to be a mapping of its own, which has no path
    let memory = vec![1u8; 4 << 20];
    let addr = memory.as_ptr() as u64 + 4096;
    let path = format!("/tmp/perf-{}.map", me());
    std::fs::write(&path, format!("{addr:x} 40 made_at_run_time\n")).unwrap();
    let frames = Symbols::default().user(me(), addr + 5);
    std::fs::remove_file(&path).unwrap();
    let frame = frames.last().expect("a symbol");
    assert_eq!((&*frame.name, frame.offset), ("made_at_run_time", 5));
}

/// Needs a C++ compiler.
#[test]
fn cpp_names_are_as_their_source_has_them() {
    let dir = std::env::temp_dir().join(format!("awl-cpp-{}", me()));
    std::fs::create_dir_all(&dir).unwrap();
    let (source, binary) = (dir.join("a.cc"), dir.join("a"));
    let text = "namespace ns { template <class T> int twice(T x, const char *) { return x * 2; }\n\
                template int twice<int>(int, const char *); }\n\
                int main() { for (;;) __builtin_ia32_pause(); }\n";
    std::fs::write(&source, text.replace("__builtin_ia32_pause()", "asm volatile(\"\")")).unwrap();
    let compiler = std::process::Command::new("c++").args(["-no-pie", "-o"]).args([&binary, &source]).status();
    if !compiler.is_ok_and(|s| s.success()) {
        return eprintln!("skipped: no C++ compiler");
    }
    let mut child = std::process::Command::new(&binary).spawn().unwrap();
    mapped_code(child.id(), binary.to_str().unwrap());
    let symbol = "_ZN2ns5twiceIiEEiT_PKc";
    let inspector = blazesym::inspect::Inspector::new();
    let found = inspector.lookup(&blazesym::inspect::source::Source::Elf(blazesym::inspect::source::Elf::new(&binary)), &[symbol]);
    let addr = found.unwrap()[0][0].addr;
    let name = |demangle| {
        let options = Options { demangle, ..Options::default() };
        let frames = Symbols::new(options).user(child.id(), addr + 1);
        frames.last().map(|f| f.name.clone())
    };
    let names = (name(true), name(false));
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(names.0.as_deref(), Some("int ns::twice<int>(int, char const*)"));
    assert_eq!(names.1.as_deref(), Some(symbol));
}

/// Needs the C library's separate symbols (`libc6-dbg`).
#[test]
fn stripped_libraries_have_their_names_elsewhere() {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let code = mapped_code(child.id(), "libc.so");
    let addrs: Vec<u64> = (0..20_000).map(|i| code + i * 16).collect();
    let named = |debug_info| {
        let mut symbols = Symbols::new(Options { debug_info, ..Options::default() });
        symbols.user_all(child.id(), &addrs);
        addrs.iter().filter(|&&a| !symbols.user(child.id(), a).is_empty()).count()
    };
    let named = (named(false), named(true));
    child.kill().unwrap();
    child.wait().unwrap();
    if !Path::new("/usr/share/doc/libc6-dbg").exists() {
        return eprintln!("skipped: libc6-dbg is not installed (with and without debug information: {named:?})");
    }
    let most = addrs.len() * 9 / 10;
    assert!(named.0 > most && named.1 > most, "{named:?} of {} addresses", addrs.len());
}

/// What a library was stripped of has its name even when the process that had it is gone.
#[test]
fn stripped_libraries_of_processes_that_are_gone() {
    let dir = std::env::temp_dir().join(format!("awl-gone-{}", std::process::id()));
    let store = dir.join("store/.build-id/12");
    std::fs::create_dir_all(&store).unwrap();
    let (source, whole, lib, debug) = (dir.join("a.c"), dir.join("whole.so"), dir.join("a.so"), store.join("34567890abcdef.debug"));
    let text = "static __attribute__((noinline, used)) int hidden(int x) { return x + 1; }\nint seen(int x) { return hidden(x) * 2; }\n";
    std::fs::write(&source, text).unwrap();
    let run = |program: &str, args: &[&std::ffi::OsStr]| std::process::Command::new(program).args(args).output();
    let made =
        run("gcc", &["-shared".as_ref(), "-Wl,--build-id=0x1234567890abcdef".as_ref(), "-o".as_ref(), whole.as_ref(), source.as_ref()]);
    let kept = run("objcopy", &["--only-keep-debug".as_ref(), whole.as_ref(), debug.as_ref()]);
    let (Ok(made), Ok(kept)) = (made, kept) else { return eprintln!("skipped: no gcc or objcopy here") };
    assert!(made.status.success() && kept.status.success());
    assert!(run("objcopy", &["--strip-all".as_ref(), whole.as_ref(), lib.as_ref()]).unwrap().status.success());
    let names = run("nm", &[whole.as_ref()]).unwrap().stdout;
    let names = String::from_utf8(names).unwrap();
    let address = |name: &str| {
        let line = names.lines().find(|l| l.ends_with(&format!(" {name}"))).unwrap();
        u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap()
    };
    // a number that no process has
    let (pid, start) = (u32::MAX - 7, 0x7f00_0000_0000u64);
    let named = |debug_dirs: Vec<PathBuf>, name: &str| {
        let mut symbols = Symbols::new(Options { debug_dirs, ..Options::default() });
        symbols.mapped(crate::mappings::Change::Map { pid, start, len: 1 << 20, offset: 0, path: lib.to_string_lossy().into_owned() });
        symbols.user(pid, start + address(name) + 1).first().map(|f| f.name.to_string())
    };
    assert_eq!(named(vec![dir.join("store")], "hidden").as_deref(), Some("hidden"));
    assert_eq!(named(vec![dir.join("store")], "seen").as_deref(), Some("seen"));
    assert_ne!(named(Vec::new(), "hidden").as_deref(), Some("hidden"), "it is in the stripped file");
    std::fs::remove_dir_all(&dir).unwrap();
}

/// The kernel's own library in processes has names, whoever had it.
#[test]
fn the_library_of_the_kernel_in_a_process_that_is_gone() {
    use crate::mappings::{Change, VDSO, of_process};
    let pid = u32::MAX - 9;
    let found = of_process(std::process::id()).into_iter().find_map(|c| match c {
        Change::Map { start, len, path, .. } if path == VDSO => Some((start, len)),
        _ => None,
    });
    let Some((start, len)) = found else { return eprintln!("skipped: this kernel gives no library") };
    let mut symbols = Symbols::new(Options::default());
    symbols.mapped(Change::Map { pid, start: 0x10000, len, offset: 0, path: VDSO.into() });
    let names: Vec<_> = (0..len / 16).filter_map(|i| symbols.user(pid, 0x10000 + 16 * i).last().cloned()).collect();
    let is_it = |f: &Frame| f.name.contains("gettime") && f.module.as_deref() == Some(VDSO);
    assert!(names.iter().any(is_it), "{start:x}: {names:?}");
}
