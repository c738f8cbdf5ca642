//! Functions of the kernel and its modules.

use crate::sys::bpf;
use awl_compiler::target::btf::Btf;
use awl_compiler::target::{BpfFunction, KernelFunction, Unavailable, is_variant};
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

/// The functions that can be traced: the tracer's own list or, where that may not be read, all code that has a name. Those that
/// kprobes would recurse into are left out.
pub fn traceable<'a>(
    tracefs: Option<&Path>,
    kallsyms: &dyn Fn() -> Result<&'a str, Unavailable>,
) -> Result<Vec<KernelFunction>, Unavailable> {
    Ok(allowed(match tracefs.and_then(hooked) {
        Some(all) => all,
        None => code(kallsyms()?),
    }))
}

/// The tracer's own list, where it may be read: what has a hook for tracers.
pub fn hooked(tracefs: &Path) -> Option<Vec<KernelFunction>> {
    let text = std::fs::read_to_string(tracefs.join("available_filter_functions")).ok()?;
    Some(text.lines().filter_map(filtered).collect())
}

/// Names of what kprobes would recurse into; nothing where that may not be read.
pub fn forbidden() -> HashSet<String> {
    let text = std::fs::read_to_string("/sys/kernel/debug/kprobes/blacklist").unwrap_or_default();
    text.lines().filter_map(|l| l.split('\t').nth(1)).map(str::to_owned).collect()
}

/// Bytes of a list: some ten times as many as the kernel's functions need. A device may have no end.
const LARGEST: u64 = 64 << 20;

/// Those of a list that somebody made: a name a line, `[module]` behind it.
pub fn listed(file: &Path) -> Result<Vec<KernelFunction>, Unavailable> {
    let unread = |why: &dyn std::fmt::Display| Unavailable {
        code: "no-file",
        message: format!("the list of functions `{}` can't be read: {why}", file.display()),
        help: "a name a line, as /sys/kernel/tracing/available_filter_functions has them".into(),
    };
    let mut text = String::new();
    File::open(file).and_then(|f| f.take(LARGEST + 1).read_to_string(&mut text)).map_err(|e| unread(&e))?;
    if text.len() as u64 > LARGEST {
        return Err(unread(&format!("it has more than {} MiB", LARGEST >> 20)));
    }
    Ok(allowed(text.lines().filter_map(filtered).collect()))
}

/// Without those that may not be probed.
fn allowed(mut all: Vec<KernelFunction>) -> Vec<KernelFunction> {
    let forbidden = forbidden();
    all.retain(|f| !forbidden.contains(&f.name) && !is_stub(&f.name));
    all.sort();
    all.dedup();
    all
}

/// `vfs_read` or `veth_xmit [veth]`
fn filtered(line: &str) -> Option<KernelFunction> {
    let mut words = line.split_whitespace();
    let name = words.next()?.to_owned();
    Some(KernelFunction { name, module: words.next().map(module) })
}

fn module(word: &str) -> String {
    word.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// Lines of `/proc/kallsyms` that are code: `ffffffff81000000 T name` and, of a module, a tab and `[module]`.
fn code(text: &str) -> Vec<KernelFunction> {
    let line = |l: &str| {
        let mut words = l.split_whitespace();
        let (_, kind, name) = (words.next()?, words.next()?, words.next()?);
        let code = matches!(kind, "t" | "T" | "w" | "W");
        code.then(|| KernelFunction { name: name.to_owned(), module: words.next().map(module) })
    };
    text.lines().filter_map(line).collect()
}

/// Not functions: prologues that the linker left, and names that compilers and tracers make for themselves.
fn is_stub(name: &str) -> bool {
    ["__ftrace_invalid_address__", "__pfx_", "__cfi_", "bpf_prog_", "bpf_trampoline_"].iter().any(|s| name.starts_with(s))
}

/// Functions of a loaded BPF program, by its own types.
pub fn of_program(id: bpf::ProgramId) -> io::Result<Vec<BpfFunction>> {
    let fd = bpf::program(id)?;
    let (types, functions) = bpf::program_functions(fd.as_fd())?;
    if types == 0 {
        return Ok(Vec::new());
    }
    let types = Btf::parse(bpf::btf_bytes(types)?).map_err(io::Error::other)?;
    let (types, kind) = (Arc::new(types), bpf::program_details(id)?.kind);
    let function = |btf_id: u32| {
        let name = types.func_name(btf_id)?.to_owned();
        Some(BpfFunction { program: id.0, kind, name, btf_id, types: Arc::clone(&types) })
    };
    Ok(functions.into_iter().filter_map(function).collect())
}

/// The modules that have code of that name.
pub fn homes(text: &str, name: &str) -> Vec<Option<String>> {
    code_named(text, name).into_iter().map(|(_, module)| module).collect()
}

/// Code of that name: addresses, which are 0 where they are hidden, and modules.
pub fn code_named(text: &str, name: &str) -> Vec<(u64, Option<String>)> {
    let needle = format!(" {name}");
    let mut found = Vec::new();
    for (at, _) in text.match_indices(&needle) {
        let end = at + needle.len();
        if text[end..].starts_with(['\n', '\t', ' ']) || end == text.len() {
            let line = line_at(text, at);
            let address = line.split(' ').next().and_then(|a| u64::from_str_radix(a, 16).ok()).unwrap_or(0);
            found.extend(code(line).into_iter().map(|f| (address, f.module)));
        }
    }
    found
}

fn line_at(text: &str, at: usize) -> &str {
    let start = text[..at].rfind('\n').map_or(0, |n| n + 1);
    let stop = text[at..].find('\n').map_or(text.len(), |n| at + n);
    &text[start..stop]
}

/// What the compiler made of a function that has no code of its own name: `NAME.isra.0`. Code that was only moved out of
/// the way (`.cold`) is none.
pub fn variant(text: &str, name: &str) -> Option<String> {
    let needle = format!(" {name}.");
    let found = text.match_indices(&needle).flat_map(|(at, _)| code(line_at(text, at)));
    found.map(|f| f.name).find(|n| is_variant(n, name) && !n.contains(".cold"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "ffffffff81000000 T vfs_read\nffffffff81000010 d vfs_read\nffffffffc0000000 t vfs_read\t[mod]\nffffffff81000020 t vfs_reads\n";

    #[test]
    fn homes_of_a_name() {
        assert_eq!(homes(TEXT, "vfs_read"), [None, Some("mod".to_owned())]);
        assert_eq!(homes(TEXT, "vfs_reads"), [None]);
        assert!(homes(TEXT, "vfs_rea").is_empty() && homes("", "x").is_empty());
    }

    #[test]
    fn lists() {
        let f = filtered("veth_xmit [veth]").unwrap();
        assert_eq!((f.name.as_str(), f.module.as_deref()), ("veth_xmit", Some("veth")));
        assert_eq!(code(TEXT).len(), 3);
        assert!(is_stub("__pfx_vfs_read") && !is_stub("vfs_read"));
    }
}
