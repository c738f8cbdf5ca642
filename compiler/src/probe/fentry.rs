//! `fentry` and `fexit`: functions of the kernel with typed arguments, by the kernel's own types.

use super::{Expanded, Process, Provider, Request, absent};
use crate::artifact::{AttachTo, ProgramKind};
use crate::diagnostic::{Diagnostic, nearest};
use crate::glob::Glob;
use crate::hir::Context;
use crate::target::btf::{Btf, Kind, Param};
use crate::target::{BpfFunction, Feature};
use crate::types::{Space, Ty};
use awl_grammar::span::Span;
use std::sync::Arc;

pub const ROWS: &[Provider] = &[
    Provider {
        name: "fentry",
        aliases: &["f", "kfunc"],
        syntax: "fentry[:MODULE|:bpf[:ID]]:FUNCTION",
        doc: "entry of a kernel function, with arguments by name and type (`args.NAME`); cheaper than `kprobe`",
        example: "fentry:vfs_read { @[str(args.file->f_path.dentry->d_name.name)] = sum(args.count); } interval:s:1 { exit(); }",
        process: Process::Any,
        absent: None,
        expand: |r| expand(r, false),
    },
    Provider {
        name: "fexit",
        aliases: &["fr", "kretfunc"],
        syntax: "fexit[:MODULE|:bpf[:ID]]:FUNCTION",
        doc: "return of a kernel function, with its arguments (`args.NAME`) and `retval`",
        example: "fexit:vfs_read { @[retval < 0] = count(); } interval:s:1 { exit(); }",
        process: Process::Any,
        absent: None,
        expand: |r| expand(r, true),
    },
];

/// Arguments that the kernel hands over (`MAX_BPF_FUNC_ARGS`).
const MOST_ARGUMENTS: usize = 12;

/// Functions that the kernel calls around each program: one at them would call itself without end. Kernels refuse the first two and the last
/// from 5.13 on, the others from 6.4 on (`btf_id_deny` in kernel/bpf/verifier.c); 5.10 stops for good.
pub const AROUND_PROGRAMS: &[&str] = &[
    "migrate_disable",
    "migrate_enable",
    "__rcu_read_lock",
    "__rcu_read_unlock",
    "preempt_count_add",
    "preempt_count_sub",
    "rcu_read_unlock_strict",
];

fn expand(r: &Request, exit: bool) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    if r.parts.len() > 2 && r.parts[1].text == "bpf" {
        return programs(r, exit);
    }
    let rest = r.rest(1, 2)?;
    let (module, function) = match rest {
        [module, function] => (Some(module.text.as_str()), function),
        [function] => (None, function),
        _ => return Ok(Vec::new()),
    };
    let text = function.text.trim();
    let wild = function.is_pattern() || module.is_some_and(|m| m.contains('*'));
    if !wild {
        let home = home(r, module, text)?;
        let types = types(r, home.as_deref())?;
        return match one(r, &types, module, home.as_deref(), text, exit) {
            Some(e) => Ok(vec![e]),
            None => Err(takes_record(r, &types, text, function.span).unwrap_or_else(|| untyped(r, text))),
        };
    }
    let (names, modules) = (Glob::new(text), module.map(Glob::new));
    let all = r.target.kernel_functions().map_err(|e| r.unavailable(e))?;
    let mut out = Vec::new();
    for f in all.iter().filter(|f| names.matches(&f.name)) {
        let home = f.module.as_deref();
        // Without a module those of the kernel itself are meant: the types of each module would have to be read.
        let meant = modules.as_ref().map_or(home.is_none(), |m| m.matches(home.unwrap_or("vmlinux")));
        if meant && let Ok(types) = types(r, home) {
            out.extend(one(r, &types, module, home, &f.name, exit));
        }
    }
    if out.is_empty() { Err(absent::functions(r, module, text)) } else { Ok(out) }
}

/// `enum bpf_prog_type`: programs like ours, which the kernel doesn't let each other be traced by.
const TRACING: u32 = 26;

/// `bpf:NAME`, `bpf:ID:NAME`: functions of other BPF programs. What they are handed is an address; its types are the program's own.
fn programs(r: &Request, exit: bool) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let rest = &r.rest(2, 3)?[1..];
    let (id, function) = match rest {
        [id, function] if id.text != "*" => match id.text.parse::<u32>() {
            Ok(n) => (Some(n), function),
            Err(_) => {
                let d = Diagnostic::error("probe-syntax", id.span, format!("`{}` is not the number of a program", id.text));
                return Err(Box::new(d.label("expected a number, or `*`").help("`bpftool prog` and `awl -l 'fentry:bpf:*'` show them")));
            }
        },
        [.., function] => (None, function),
        [] => return Ok(Vec::new()),
    };
    let text = function.text.trim();
    let wild = function.is_pattern();
    let names = Glob::new(text);
    let all = r.target.bpf_functions().map_err(|e| r.unavailable(e))?;
    let meant = |f: &&BpfFunction| {
        let named = if wild { names.matches(&f.name) && f.kind != TRACING } else { f.name == text };
        named && id.is_none_or(|id| id == f.program)
    };
    let mut out = Vec::new();
    for f in all.iter().filter(meant) {
        let Some((params, ret)) = f.types.prototype(f.btf_id) else { continue };
        let args = params.into_iter().map(|p| (p.name, Ty::U64)).collect();
        let ret = exit.then(|| f.types.ty(ret, Space::Kernel)).map(|t| if t.is_int() { t } else { Ty::U64 });
        let (btf_id, provider) = (f.btf_id, r.provider.name);
        let kind = if exit { ProgramKind::Fexit { btf_id } } else { ProgramKind::Fentry { btf_id } };
        let full = format!("{provider}:bpf:{}:{}", f.program, f.name);
        let to = AttachTo::BpfProgram { id: f.program, name: f.name.clone() };
        out.push(Expanded { kind, context: Context::Function { args, ret }, points: vec![(full, Some(to))] });
    }
    if !out.is_empty() {
        return Ok(out);
    }
    let d = Diagnostic::error("no-match", function.span, format!("no loaded BPF program has a function `{text}`"));
    if let Some(other) = all.iter().find(|f| f.name == text) {
        return Err(Box::new(d.label(format!("it is in program {}", other.program)).help(format!("`{}:bpf:{text}`", r.provider.name))));
    }
    Err(Box::new(match nearest(text, all.iter().map(|f| f.name.as_str())) {
        Some(n) => d.label(format!("did you mean `{n}`?")),
        None => d.label("matches nothing").help("`awl -l 'fentry:bpf:*'` lists those with types, for root alone"),
    }))
}

/// The module that has the function.
fn home(r: &Request, module: Option<&str>, name: &str) -> Result<Option<String>, Box<Diagnostic>> {
    if module == Some("vmlinux") {
        return Ok(None);
    }
    let homes = r.target.homes_of_function(name).map_err(|e| r.unavailable(e))?;
    let wanted = |h: &&Option<String>| module.is_none() || h.as_deref() == module;
    homes.iter().find(wanted).cloned().ok_or_else(|| absent::function(r, module, name, &homes))
}

enum Types<'a> {
    Kernel(&'a Btf),
    Module(Arc<Btf>),
}

impl std::ops::Deref for Types<'_> {
    type Target = Btf;
    fn deref(&self) -> &Btf {
        match self {
            Types::Kernel(b) => b,
            Types::Module(b) => b,
        }
    }
}

fn types<'a>(r: &Request<'a>, module: Option<&str>) -> Result<Types<'a>, Box<Diagnostic>> {
    match module {
        None => r.target.btf().map(Types::Kernel),
        Some(m) => r.target.module_btf(m).map(Types::Module),
    }
    .map_err(|e| r.unavailable(e))
}

/// `None`: the kernel doesn't describe it, or not in a way that programs can be given, or it is no place for programs.
fn one(r: &Request, types: &Btf, written: Option<&str>, module: Option<&str>, name: &str, exit: bool) -> Option<Expanded> {
    if AROUND_PROGRAMS.contains(&name) {
        return None;
    }
    let btf_id = types.find(Kind::Func, name)?;
    let (params, ret) = types.prototype(btf_id)?;
    let args = arguments(r, types, params)?;
    let ret = exit.then(|| types.ty(ret, r.typed_space()));
    let provider = r.provider.name;
    let full = match written {
        Some(_) => format!("{provider}:{}:{name}", module.unwrap_or("vmlinux")),
        None => format!("{provider}:{name}"),
    };
    let kind = if exit { ProgramKind::Fexit { btf_id } } else { ProgramKind::Fentry { btf_id } };
    let to = AttachTo::Function { module: module.map(str::to_owned), name: name.into() };
    Some(Expanded { kind, context: Context::Function { args, ret }, points: vec![(full, Some(to))] })
}

/// What a program at a function is handed, word by word. `None`: in a way that programs can't be given.
pub(super) fn arguments(r: &Request, types: &Btf, params: Vec<Param>) -> Option<Vec<(String, Ty)>> {
    let mut args = Vec::new();
    for (i, p) in params.into_iter().enumerate() {
        let name = if p.name.is_empty() { format!("arg{i}") } else { p.name };
        match types.ty(p.id, r.typed_space()) {
            // `...`
            Ty::Void => return None,
            Ty::Record(_) | Ty::Array(..) if !r.target.has(Feature::RecordArguments) => return None,
            // A small record comes in as many words as it has; only its first is named.
            t @ (Ty::Record(_) | Ty::Array(..)) => {
                let words = t.size().div_ceil(8).max(1);
                args.extend((0..words).map(|w| (if w == 0 { name.clone() } else { format!("{name}.{w}") }, Ty::U64)));
            }
            t => args.push((name, t)),
        }
    }
    (args.len() <= MOST_ARGUMENTS).then_some(args)
}

/// The error for a function that is handed a structure, where this kernel has no programs for such.
pub(super) fn takes_record(r: &Request, types: &Btf, function: &str, span: Span) -> Option<Box<Diagnostic>> {
    let params = types.func_params(function).filter(|_| !r.target.has(Feature::RecordArguments))?;
    let record = |p: &Param| matches!(types.ty(p.id, r.typed_space()), Ty::Record(_) | Ty::Array(..));
    params.iter().any(record).then(|| Box::new(crate::lower::lacking(Feature::RecordArguments, r.target, span)))
}

fn untyped(r: &Request, name: &str) -> Box<Diagnostic> {
    let span = r.parts[r.parts.len() - 1].span;
    let kprobe = if r.provider.name == "fexit" { "kretprobe" } else { "kprobe" };
    if AROUND_PROGRAMS.contains(&name) {
        let d = Diagnostic::error("not-here", span, format!("no `{}` probe can be at `{name}`", r.provider.name));
        return Box::new(d.label("the kernel itself calls it around each program").help(format!("`{kprobe}:{name}` can")));
    }
    let d = Diagnostic::error("unknown-function", span, format!("the kernel's types don't describe `{name}`"));
    if r.target.kernel_functions().is_ok_and(|all| !all.iter().any(|f| f.name == name)) {
        // In 5.10 those have no types.
        return Box::new(d.label("it has no hook for tracers: `notrace`, `noinstr` or assembler").help("probe a function that calls it"));
    }
    Box::new(
        d.label("its compiler changed how it is called, there are several of that name, or it takes `...`")
            .help(format!("`{kprobe}:{name}` needs no types")),
    )
}
