use super::*;

#[inline(never)]
fn a_function_of_ours() -> u64 {
    std::hint::black_box(7)
}

fn me() -> u32 {
    std::process::id()
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
    // wait for exec: until then the child is a copy of us
    let exe = format!("/proc/{tgid}/exe");
    while std::fs::read_link(&exe).is_ok_and(|p| p == std::env::current_exe().unwrap()) {
        std::thread::yield_now();
    }
    let libc = (0..100).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let maps = std::fs::read_to_string(format!("/proc/{tgid}/maps")).unwrap();
        let line = maps.lines().find(|l| l.contains("r-xp") && l.contains("libc.so"))?;
        let start = line.split('-').next()?;
        u64::from_str_radix(start, 16).ok()
    });
    let libc = libc.expect("libc is mapped");
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
