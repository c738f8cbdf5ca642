//! `lsm:HOOK` and `fmod_ret:FUNCTION`: what the kernel asks its security modules, and functions whose answer may be given.

use super::fentry::takes_record;
use super::{Expanded, Process, Provider, Request};
use crate::artifact::{AttachTo, ProgramKind};
use crate::diagnostic::{Diagnostic, nearest};
use crate::glob::Glob;
use crate::hir::Context;
use crate::target::btf::{Btf, Kind};
use awl_grammar::ast::ProbePart;

pub const ROWS: &[Provider] = &[
    Provider {
        name: "lsm",
        aliases: &[],
        syntax: "lsm:HOOK",
        doc: "a question of the kernel to its security modules, with typed arguments; verdicts `ALLOW DENY` or `-ERROR`",
        example: "lsm:file_open { @[comm] = count(); }",
        process: Process::Any,
        absent: None,
        expand: lsm,
    },
    Provider {
        name: "fmod_ret",
        aliases: &[],
        syntax: "fmod_ret:FUNCTION",
        doc: "a kernel function that may be answered for, where the kernel allows it: `return -ERROR` keeps it from running",
        example: "fmod_ret:security_file_open { @[comm] = count(); }",
        process: Process::Any,
        absent: None,
        expand: fmod_ret,
    },
];

/// What the names of functions begin with that any kernel lets `fmod_ret` answer for.
pub const MODIFIABLE: &str = "security_";

/// Functions that stand for the hooks.
pub const HOOKS: &str = "bpf_lsm_";

fn arguments(r: &Request, btf: &Btf, function: &str) -> Option<(u32, Context)> {
    let id = btf.find(Kind::Func, function)?;
    let args = super::fentry::arguments(r, btf, btf.func_params(function)?)?;
    Some((id, Context::RawArgs(args)))
}

/// Hooks that newer kernels keep programs from (`bpf_lsm_disabled_hooks`: 6.12, two more since), since their answers are no verdicts, they run before
/// there is what they are about, or the kernel stops at an answer. A pattern means none of them on any kernel.
const KEPT_FROM_PROGRAMS: &[&str] = &[
    "audit_rule_match",
    "file_alloc_security",
    "getprocattr",
    "getselfattr",
    "inode_copy_up_xattr",
    "inode_getsecurity",
    "inode_listsecurity",
    "inode_need_killpriv",
    "ismaclabel",
    "key_getsecurity",
    "setprocattr",
    "vm_enough_memory",
    "xfrm_decode_session",
];

/// Hooks that belong to BPF alone, and stand in no list of the kernel's.
const OF_BPF: &[&str] = &["cgroup_attach", "namespace_alloc", "namespace_free", "namespace_install"];

/// The hooks that a pattern means, sorted. Among the functions of such names are helpers (`bpf_lsm_verify_prog`), which no module is asked by: hooks are members
/// of the union of all that a security module answers.
pub fn hooks<'a>(btf: &'a Btf, pattern: &str) -> Vec<&'a str> {
    let (glob, wild) = (Glob::new(pattern), pattern.contains('*'));
    let questions = btf.record_named("union security_list_options");
    let asked = |name: &str| questions.as_ref().is_none_or(|q| q.fields.iter().any(|f| f.name == name)) || OF_BPF.contains(&name);
    let named = btf.names(Kind::Func).filter_map(|(n, _)| n.strip_prefix(HOOKS)).filter(|n| glob.matches(n));
    let mut found: Vec<&str> = named.filter(|n| asked(n) && !(wild && KEPT_FROM_PROGRAMS.contains(n))).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn lsm(r: &Request) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let hook = &r.rest(1, 1)?[0];
    let btf = r.target.btf().map_err(|why| r.unavailable(why))?;
    let names = match hook.is_pattern() {
        true => hooks(btf, &hook.text),
        false => vec![hook.text.as_str()],
    };
    let found: Vec<Expanded> = names.into_iter().filter_map(|name| one(r, btf, name)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    Err(takes_record(r, btf, &format!("{HOOKS}{}", hook.text), hook.span).unwrap_or_else(|| no_hook(btf, hook)))
}

fn one(r: &Request, btf: &Btf, hook: &str) -> Option<Expanded> {
    let (btf_id, context) = arguments(r, btf, &format!("{HOOKS}{hook}"))?;
    let points = vec![(format!("lsm:{hook}"), Some(AttachTo::Trampoline))];
    Some(Expanded { kind: ProgramKind::Lsm { btf_id }, context, points })
}

fn no_hook(btf: &Btf, hook: &ProbePart) -> Box<Diagnostic> {
    let names: Vec<&str> = btf.names(Kind::Func).filter_map(|(n, _)| n.strip_prefix(HOOKS)).collect();
    let text = hook.text.as_str();
    let d = match hook.is_pattern() {
        true => Diagnostic::error("unknown-hook", hook.span, format!("no hook matches `{text}`")),
        false => Diagnostic::error("unknown-hook", hook.span, format!("this kernel has no hook `{text}`")),
    };
    if names.is_empty() {
        return Box::new(d.label("no hooks here").help("needs a kernel built with CONFIG_BPF_LSM=y"));
    }
    if let Some(kept) = names.iter().find(|n| hook.is_pattern() && KEPT_FROM_PROGRAMS.contains(n) && Glob::new(text).matches(n)) {
        let d = d.label(format!("`{kept}` does, and patterns leave it out: what it answers is no verdict"));
        return Box::new(d.help(format!("before Linux 6.12 it can be named: `lsm:{kept}`")));
    }
    if hook.is_pattern() {
        let inner = text.replace('*', "");
        return Box::new(d.label("matches nothing").help(match !hooks(btf, &format!("*{inner}*")).is_empty() {
            true => format!("`awl -l 'lsm:*{inner}*'` lists those that are called so"),
            false => "`awl -l 'lsm:*'` lists them".into(),
        }));
    }
    Box::new(match nearest(text, names.iter().copied()) {
        Some(n) => d.label(format!("did you mean `{n}`?")),
        None if names.iter().any(|n| n.contains(text)) => {
            d.label("no such hook").help(format!("`awl -l 'lsm:*{text}*'` lists those that are called so"))
        }
        None => d.label("no such hook").help("`awl -l 'lsm:*'` lists them"),
    })
}

fn fmod_ret(r: &Request) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let function = &r.rest(1, 1)?[0];
    let btf = r.target.btf().map_err(|why| r.unavailable(why))?;
    let Some((btf_id, context)) = arguments(r, btf, &function.text) else {
        if let Some(d) = takes_record(r, btf, &function.text, function.span) {
            return Err(d);
        }
        let d = Diagnostic::error("unknown-function", function.span, format!("this kernel has no function `{}`", function.text));
        return Err(Box::new(match nearest(&function.text, btf.names(Kind::Func).map(|(n, _)| n)) {
            Some(n) => d.label(format!("did you mean `{n}`?")),
            None => d.label("no such function"),
        }));
    };
    let points = vec![(format!("fmod_ret:{}", function.text), Some(AttachTo::Trampoline))];
    Ok(vec![Expanded { kind: ProgramKind::ModifyReturn { btf_id }, context, points }])
}
