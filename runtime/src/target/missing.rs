//! What is said of a machine where something isn't there, or may not be read.

use super::files::Files;
use super::{VMLINUX, elf};
use awl_compiler::target::Unavailable;
use std::io;
use std::path::Path;

pub fn unreadable(path: &Path, why: elf::Error) -> Unavailable {
    let (code, what, help) = match why {
        elf::Error::Io(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            ("no-rights", "you may not read it".to_string(), "run awl as root".to_string())
        }
        elf::Error::Io(e) => ("no-file", e.to_string(), "check the path".to_string()),
        elf::Error::NotElf(what) => {
            ("not-elf", format!("it is {what}"), "probes need a program or library that was compiled for this machine".to_string())
        }
        elf::Error::Broken(what) => {
            ("not-elf", format!("a damaged ELF file: {what}"), "check the file: `readelf -h` shows more".to_string())
        }
    };
    Unavailable { code, message: format!("can't probe `{}`: {what}", path.display()), help }
}

pub fn broken(path: &str, why: &str) -> Unavailable {
    Unavailable {
        code: "no-debuginfo",
        message: format!("the debug information of `{path}` can't be read: {why}"),
        help: "`readelf --debug-dump=info` shows what is in it; `arg0` and `retval` need none".into(),
    }
}

pub fn no_types(e: &io::Error) -> Unavailable {
    match e.kind() {
        io::ErrorKind::NotFound => Unavailable {
            code: "no-btf",
            message: format!("this kernel doesn't describe its types ({VMLINUX} is missing)"),
            help: "needs a kernel built with CONFIG_DEBUG_INFO_BTF=y: `zgrep BTF /proc/config.gz` tells".into(),
        },
        _ => Unavailable {
            code: "no-btf",
            message: format!("the kernel's types can't be read ({VMLINUX}: {e})"),
            help: format!("`sudo ls -l {VMLINUX}` shows who may"),
        },
    }
}

pub fn empty_tracefs() -> Unavailable {
    let why = match crate::load::lockdown() {
        Some(level) => format!("the kernel is locked down ({level}): it lists no tracepoints, and says nothing of their arguments"),
        None => "the kernel's tracefs is empty: it lists no tracepoints".into(),
    };
    let help = "`rawtracepoint:EVENT` has arguments by the kernel's types: `awl -lv 'rawtracepoint:*'` lists them".into();
    Unavailable { code: "no-tracefs", message: why, help }
}

pub fn no_tracefs(e: &io::Error) -> Unavailable {
    match e.kind() {
        io::ErrorKind::PermissionDenied => Unavailable {
            code: "no-tracefs",
            message: "the kernel's list of tracepoints is only for root (/sys/kernel/tracing)".into(),
            help: "run awl as root, with `sudo`".into(),
        },
        _ => Unavailable {
            code: "no-tracefs",
            message: format!("the kernel's list of tracepoints is not there (tracefs: {e})"),
            help: "`sudo mount -t tracefs tracefs /sys/kernel/tracing`".into(),
        },
    }
}

pub fn not_found(files: &Files, pattern: &str) -> Unavailable {
    let (wild, path) = (pattern.contains('*'), pattern.contains('/'));
    let message = match (wild, path) {
        (true, _) => format!("no file matches `{pattern}`"),
        (_, true) if files.is_dir(pattern) => format!("`{pattern}` is a directory"),
        (_, true) => format!("there is no file `{pattern}`"),
        _ => format!("`{pattern}` is neither a program in PATH nor a library"),
    };
    let help = match files.nearest(pattern) {
        Some(near) => format!("did you mean `{near}`?"),
        None if wild => format!("`ls {pattern}` shows what does"),
        None if files.is_dir(pattern) => format!("`{}/*` means all programs in it", pattern.trim_end_matches('/')),
        None if path => "check the path".to_string(),
        None => "give its whole path".to_string(),
    };
    Unavailable { code: "no-file", message, help }
}
