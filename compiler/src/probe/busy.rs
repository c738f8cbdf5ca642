//! What runs so often that each event of it is felt: said before a script slows its machine down.

use crate::diagnostic::Diagnostic;
use awl_grammar::span::Span;

/// More places than anybody means to trace for long.
const MANY: usize = 1000;

/// Functions of the kernel that run more often than once for each system call, as counted in Debian's 6.12
/// while it copied, listed and started programs (1.2 to 14 times), and what they are called in other kernels.
const FUNCTIONS: &[&str] = &[
    "__rcu_read_lock",
    "__rcu_read_unlock",
    "rcu_read_unlock_strict",
    "__cond_resched",
    "_raw_spin_lock",
    "_raw_spin_lock_bh",
    "_raw_spin_lock_irq",
    "_raw_spin_lock_irqsave",
    "_raw_spin_unlock",
    "_raw_spin_unlock_irqrestore",
    "down_read",
    "up_read",
    "dput",
    "inode_permission",
    "kmem_cache_alloc",
    "kmem_cache_alloc_noprof",
    "kmem_cache_free",
    "lookup_fast",
    "__mod_node_page_state",
];

/// Events that such functions make each time.
const TRACEPOINTS: &[&str] = &["kmem:kmem_cache_alloc", "kmem:kmem_cache_free"];

const HELP: &str = "put `--estimate` in front of the script: it counts for a second how often each probe would run, and does nothing else";

/// What is said of one attach point of the script, which stands for these places (`kprobe:vfs_read`).
pub fn warning(span: Span, places: &[&str]) -> Option<Diagnostic> {
    let warning = |message: String, label: String| Some(Diagnostic::warning("busy-probe", span, message).label(label).help(HELP));
    if places.len() >= MANY {
        return warning(
            format!("this matches {} places: all of them run slower", places.len()),
            "each call of any of them is an event".into(),
        );
    }
    let busy: Vec<&str> = places.iter().filter_map(|p| busy(p)).collect();
    match busy.as_slice() {
        [] => None,
        [one] => {
            warning(format!("`{one}` runs more often than nearly everything else"), "more often than once for each system call".into())
        }
        [first, rest @ ..] => warning(
            format!("`{first}` and {} more here run more often than nearly everything else", rest.len()),
            "more often than once for each system call".into(),
        ),
    }
}

/// The name of a place that is known to be busy.
fn busy(place: &str) -> Option<&str> {
    let (provider, rest) = place.split_once(':')?;
    let (known, name) = match provider {
        "kprobe" | "kretprobe" | "fentry" | "fexit" => (FUNCTIONS, rest.rsplit(':').next()?),
        "tracepoint" | "rawtracepoint" => (TRACEPOINTS, rest),
        _ => return None,
    };
    known.contains(&name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_and_busy_places() {
        let said = |places: &[&str]| warning(Span::default(), places).map(|d| d.message);
        assert_eq!(said(&["kprobe:vfs_read", "fentry:vfs_read", "uprobe:/bin/a:dput", "tracepoint:sched:sched_switch"]), None);
        assert_eq!(said(&["kretprobe:dput"]).as_deref(), Some("`dput` runs more often than nearly everything else"));
        assert_eq!(said(&["fentry:vmlinux:dput"]).as_deref(), Some("`dput` runs more often than nearly everything else"));
        let two = said(&["kprobe:dput", "kprobe:x", "kprobe:kmem_cache_free"]);
        assert_eq!(two.as_deref(), Some("`dput` and 1 more here run more often than nearly everything else"));
        let many: Vec<String> = (0..5000).map(|i| format!("kprobe:f{i}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(warning(Span::default(), &many).is_some_and(|d| d.message.contains("5000 places")));
        assert!(warning(Span::default(), &many[..999]).is_none());
    }
}
