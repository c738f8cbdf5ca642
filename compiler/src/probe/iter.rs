//! `iter:NAME`: goes once through all objects of a kind that the kernel has. `iter:NAME:PIN`: as often as the file PIN is read.

use super::{Expanded, Process, Provider, Request};
use crate::artifact::{AttachTo, ProgramKind};
use crate::diagnostic::{Diagnostic, nearest};
use crate::hir::{Context, SeqFile};
use crate::target::btf::{Btf, Kind};
use crate::types::{Field, RecordDef, Space, Ty};
use awl_grammar::ast::ProbePart;
use awl_grammar::span::Span;

pub const ROWS: &[Provider] = &[Provider {
    name: "iter",
    aliases: &["it"],
    syntax: "iter:NAME[:PIN]",
    doc: "runs once for each object of a kind (tasks, files of tasks, maps, sockets, ...), whose parts are `ctx.NAME`; then the script ends. With a name in the bpf file system, or a whole path in it, it runs when that file is read",
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
    let parts = r.rest(1, 2)?;
    let (name, pin) = (&parts[0], parts.get(1));
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
    let mut point = format!("iter:{}", name.text);
    let mut file = None;
    if let Some(pin) = pin {
        fits(pin)?;
        point = format!("{point}:{}", pin.text);
        let meta = btf.record_named("struct bpf_iter_meta");
        let offset = |record: &RecordDef, name: &str| record.fields.iter().find(|f| f.name == name).map_or(0, |f| f.offset);
        file = Some(SeqFile { meta: offset(&record, "meta"), seq: meta.map_or(0, |m| offset(&m, "seq")) });
    }
    let to = AttachTo::Iter { name: name.text.clone(), pin: pin.map(|p| p.text.clone()) };
    let context = Context::Iter { record, objects, file };
    Ok(vec![Expanded { kind: ProgramKind::Iter { btf_id }, context, points: vec![(point, Some(to))] }])
}

/// May it be a file's name in a bpf file system? Those have no dots (`bpf_lookup` in `kernel/bpf/inode.c`).
fn fits(pin: &ProbePart) -> Result<(), Box<Diagnostic>> {
    let path = pin.text.strip_prefix('/').unwrap_or(&pin.text);
    if path.split('/').all(|part| !part.is_empty() && !part.contains('.')) {
        return Ok(());
    }
    let d = Diagnostic::error("pin-name", pin.span, format!("`{}` is no name in a bpf file system", pin.text));
    Err(Box::new(
        d.label("expected names without a dot, `/` between them").help("for instance `iter:task:list`, `iter:task:/sys/fs/bpf/list`"),
    ))
}

/// A pinned iterator outlives awl, and nothing else of the script would.
pub(crate) fn alone(points: &[(&Context, Span)]) -> Option<Diagnostic> {
    let (_, pinned) = points.iter().find(|(c, _)| c.seq_file().is_some())?;
    let (_, other) = points.iter().find(|(c, _)| c.seq_file().is_none())?;
    let d = Diagnostic::error("pinned-iterator", *other, "this probe would end with awl, which leaves a pinned iterator and ends");
    Some(d.label("expected nothing beside pinned iterators").because(*pinned, "this one is pinned").help("make it a script of its own"))
}
