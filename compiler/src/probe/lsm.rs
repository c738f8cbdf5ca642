//! `lsm:HOOK` and `fmod_ret:FUNCTION`: what the kernel asks its security modules, and functions whose answer may be given.

use super::{Expanded, Process, Provider, Request};
use crate::artifact::{AttachTo, ProgramKind};
use crate::diagnostic::{Diagnostic, nearest};
use crate::hir::Context;
use crate::target::btf::{Btf, Kind};
use crate::types::Space;

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

fn arguments(btf: &Btf, function: &str, space: Space) -> Option<(u32, Context)> {
    let id = btf.find(Kind::Func, function)?;
    let args = btf.func_params(function)?;
    let name = |i: usize, name: String| if name.is_empty() { format!("arg{i}") } else { name };
    let args = args.into_iter().enumerate().map(|(i, p)| (name(i, p.name), btf.ty(p.id, space))).collect();
    Some((id, Context::RawArgs(args)))
}

fn lsm(r: &Request) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let hook = &r.rest(1, 1)?[0];
    let btf = r.target.btf().map_err(|why| r.unavailable(why))?;
    let Some((btf_id, context)) = arguments(btf, &format!("{HOOKS}{}", hook.text), r.typed_space()) else {
        let names: Vec<&str> = btf.names(Kind::Func).filter_map(|(n, _)| n.strip_prefix(HOOKS)).collect();
        if hook.text.contains('*') && !names.is_empty() {
            let d = Diagnostic::error("unknown-hook", hook.span, format!("`{}` is no hook: `lsm` takes no patterns", hook.text))
                .label("each hook has arguments of its own")
                .help(format!(
                    "`awl -l 'lsm:{}'` lists those that match; several are written `lsm:file_open, lsm:file_permission {{ ... }}`",
                    hook.text
                ));
            return Err(Box::new(d));
        }
        let d = Diagnostic::error("unknown-hook", hook.span, format!("this kernel has no hook `{}`", hook.text));
        return Err(Box::new(match nearest(&hook.text, names.iter().copied()) {
            Some(n) => d.label(format!("did you mean `{n}`?")),
            None if names.is_empty() => d.label("no hooks here").help("needs a kernel built with CONFIG_BPF_LSM=y"),
            None if names.iter().any(|n| n.contains(&hook.text)) => {
                d.label("no such hook").help(format!("`awl -l 'lsm:*{}*'` lists those that are called so", hook.text))
            }
            None => d.label("no such hook").help("`awl -l 'lsm:*'` lists them"),
        }));
    };
    let to = AttachTo::Trampoline;
    let points = vec![(format!("lsm:{}", hook.text), Some(to))];
    Ok(vec![Expanded { kind: ProgramKind::Lsm { btf_id }, context, points }])
}

fn fmod_ret(r: &Request) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let function = &r.rest(1, 1)?[0];
    let btf = r.target.btf().map_err(|why| r.unavailable(why))?;
    let Some((btf_id, context)) = arguments(btf, &function.text, r.typed_space()) else {
        let d = Diagnostic::error("unknown-function", function.span, format!("this kernel has no function `{}`", function.text));
        return Err(Box::new(match nearest(&function.text, btf.names(Kind::Func).map(|(n, _)| n)) {
            Some(n) => d.label(format!("did you mean `{n}`?")),
            None => d.label("no such function"),
        }));
    };
    let points = vec![(format!("fmod_ret:{}", function.text), Some(AttachTo::Trampoline))];
    Ok(vec![Expanded { kind: ProgramKind::ModifyReturn { btf_id }, context, points }])
}
