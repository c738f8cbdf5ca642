//! `--follow`: places that aren't there yet are waited for, and the children of a watched process count as it does.

use crate::probe::Provider;
use crate::sema::uses::Uses;
use awl_grammar::ast::{Expr, Item, Script};
use awl_grammar::span::{FileId, Span};

/// What a script that waits for places is compiled with.
#[derive(Clone, Debug, Default)]
pub struct Follow {
    /// the text (`family`) that keeps account of the process of `-p` or `-c` and of those that it starts
    pub family: Option<FileId>,
    /// names of the maps of programs that run already, in their order
    pub maps: Vec<String>,
    /// bytes of `.bss.awl`, and of each CPU's part of `.bss.percpu`, that those have; 0: none run yet
    pub room: (u32, u32),
}

/// An attach point that matches nothing yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// as written, with the probe type's whole name
    pub point: String,
    pub span: Span,
}

/// The map of the processes that count. It is awl's own: nothing prints it.
pub const FAMILY: &str = "awl_family";

/// Keeps `FAMILY`, beginning with a process, by its number in the initial pid namespace.
pub fn family(pid: u32) -> String {
    format!(
        "let @{FAMILY} = hash(65536);
begin {{ @{FAMILY}[(uint32){pid}] = (uint8)1; }}
rawtracepoint:sched_process_fork /has_key(@{FAMILY}, pid)/ {{
  $t = (struct task_struct *)arg1;
  if ($t->pid == $t->tgid) {{ @{FAMILY}[(uint32)$t->tgid] = (uint8)1; }}
}}
rawtracepoint:sched_process_free {{
  $t = (struct task_struct *)arg0;
  if ($t->pid == $t->tgid) {{ delete(@{FAMILY}, (uint32)$t->tgid); }}
}}
"
    )
}

/// The condition of the account's own text: does the running process count?
pub(super) fn condition(script: &Script, file: FileId) -> Option<&Expr> {
    script.items.iter().find_map(|i| match i {
        Item::Probe(p) if p.span.file == file => p.predicate.as_ref(),
        _ => None,
    })
}

/// Probe types whose places may appear later: of modules of the kernel, of files.
const APPEAR: &[&str] = &["kprobe", "kretprobe", "fentry", "fexit", "tracepoint", "rawtracepoint", "uprobe", "uretprobe", "usdt"];

/// What is said of places that aren't there.
const ABSENT: &[&str] = &["unknown-function", "unknown-event", "no-match", "no-file", "not-elf", "no-module"];

pub(super) fn may_appear(provider: &Provider, code: &str) -> bool {
    APPEAR.contains(&provider.name) && ABSENT.contains(&code)
}

/// What the body reads has other types once the place is there: until then it isn't checked.
pub(super) fn is_open(uses: &Uses) -> bool {
    uses.has("args") || uses.has("retval")
}
