//! `iter:NAME`: goes once through all objects of a kind that the kernel has.

use super::{Expanded, Process, Provider, Request};
use crate::artifact::{AttachTo, ProgramKind};
use crate::diagnostic::{Diagnostic, nearest};
use crate::hir::Context;
use crate::target::btf::{Btf, Kind};
use crate::types::{Field, Space, Ty};

pub const ROWS: &[Provider] = &[Provider {
    name: "iter",
    aliases: &["it"],
    syntax: "iter:NAME",
    doc: "runs once for each object of a kind (tasks, files of tasks, maps, sockets, ...), whose parts are `ctx.NAME`; then the script ends",
    example: "iter:task { printf(\"%s %d\\n\", ctx.task->comm, ctx.task->pid); }",
    process: Process::Nobody,
    absent: None,
    expand,
}];

/// Names of the records that iterators hand over.
const RECORDS: &str = "bpf_iter__";

/// Iterators of this kernel, by name.
pub fn names(btf: &Btf) -> Vec<&str> {
    let mut names: Vec<&str> = btf.names(Kind::Struct).filter_map(|(n, _)| n.strip_prefix(RECORDS)).filter(|n| !n.contains("__")).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn expand(r: &Request) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let name = &r.rest(1, 1)?[0];
    let btf = r.target.btf().map_err(|e| r.unavailable(e))?;
    let record = btf.record_named(&format!("struct {RECORDS}{}", name.text));
    let function = btf.find(Kind::Func, &format!("bpf_iter_{}", name.text));
    let (Some(record), Some(btf_id)) = (record, function) else {
        let names = names(btf);
        let d = Diagnostic::error("unknown-iterator", name.span, format!("this kernel has no iterator `{}`", name.text));
        return Err(Box::new(match nearest(&name.text, names.iter().copied()) {
            Some(n) => d.label(format!("did you mean `{n}`?")),
            None if names.is_empty() => {
                d.label("no iterators here").help("needs Linux 5.8 or later; `awl -l 'iter:*'` lists what there is")
            }
            None => d.label("no such iterator").help(format!("it has {}", names.join(", "))),
        }));
    };
    let pointer = |f: &&Field| f.name != "meta" && matches!(btf.resolve_field(&f.ty, Space::Btf), Ty::Ptr(_, Space::Btf));
    let objects = record.fields.iter().filter(pointer).map(|f| f.offset).collect();
    let to = AttachTo::Iter { name: name.text.clone() };
    let points = vec![(format!("iter:{}", name.text), Some(to))];
    Ok(vec![Expanded { kind: ProgramKind::Iter { btf_id }, context: Context::Iter { record, objects }, points }])
}
