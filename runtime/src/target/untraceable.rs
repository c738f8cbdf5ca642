//! Why the kernel doesn't let a function be traced. Asked when it has refused one: what tells is long, and takes the kernel
//! tens of milliseconds to write.

use super::functions;
use super::kallsyms::Kallsyms;
use crate::sys::tracefs::TraceFs;
use std::collections::HashSet;

/// What the kernel lists.
#[derive(Debug)]
pub(crate) struct Lists {
    symbols: Option<Kallsyms>,
    /// what has a hook for tracers; `None`: it may not be read
    hooked: Option<HashSet<String>>,
    /// what kprobes would recurse into
    forbidden: HashSet<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// no code has that name; what the compiler made of the function, by its name with a suffix
    Absent { made: Option<String> },
    /// several functions have it; their addresses
    Several(Vec<u64>),
    /// code of the boot, freed after it
    Boot,
    /// it has no hook for tracers
    Hookless,
    /// kprobes themselves, or what they interrupt, may run it; does it have a hook?
    Forbidden { hooked: bool },
}

impl Lists {
    pub(crate) fn read() -> Lists {
        let tracefs = TraceFs::find().ok();
        let hooked = tracefs.and_then(|t| functions::hooked(t.path())).map(|all| all.into_iter().map(|f| f.name).collect());
        Lists { symbols: Kallsyms::read().ok(), hooked, forbidden: functions::forbidden() }
    }

    /// `symbol`: as it was asked for, `NAME` or `MODULE:NAME`. `None`: nothing tells.
    pub(crate) fn cause(&self, symbol: &str) -> Option<Cause> {
        let (module, name) = symbol.split_once(':').map_or((None, symbol), |(m, n)| (Some(m), n));
        let symbols = self.symbols.as_ref()?;
        let code = functions::code_named(symbols.text(), name);
        let here: Vec<u64> = code.iter().filter(|(_, m)| module.is_none() || m.as_deref() == module).map(|(a, _)| *a).collect();
        let hooked = self.hooked.as_ref().map(|h| h.contains(name));
        let [address] = here.as_slice() else {
            return Some(match here.is_empty() {
                true => Cause::Absent { made: functions::variant(symbols.text(), name) },
                false => Cause::Several(here),
            });
        };
        if self.forbidden.contains(name) {
            return Some(Cause::Forbidden { hooked: hooked == Some(true) });
        }
        let edge = |name: &str| symbols.address(name).ok().flatten().filter(|a| *a != 0);
        if let (Some(from), Some(to)) = (edge("_sinittext"), edge("_einittext"))
            && (from..to).contains(address)
        {
            return Some(Cause::Boot);
        }
        (hooked == Some(false)).then_some(Cause::Hookless)
    }
}

impl Cause {
    /// What it is, and what to do for a probe of type `provider`.
    pub(crate) fn words(&self, provider: &str, symbol: &str) -> (String, String) {
        let name = symbol.rsplit(':').next().unwrap_or(symbol);
        let caller = || "probe a function that calls it".to_owned();
        let fentry = if provider.contains("ret") { "fexit" } else { "fentry" };
        match self {
            Cause::Absent { made: Some(made) } => (
                format!("the compiler made `{made}` of it"),
                format!("probe `{}:{made}`: its arguments may differ from those in the source", kprobe(provider)),
            ),
            Cause::Absent { made: None } => (
                "it has no code of its own: the compiler put it into the functions that call it".into(),
                format!("{}; `awl -l 'kprobe:*{}*'` searches for others", caller(), name.trim_matches('_')),
            ),
            Cause::Several(all) => (
                format!("{} functions have that name, in different files of its source", all.len()),
                match all.iter().find(|a| **a != 0) {
                    Some(a) => format!(
                        "name one by its address, with `--unsafe`: `{}:{a:#x}`; `sudo grep -w {name} /proc/kallsyms` shows all",
                        kprobe(provider)
                    ),
                    None => caller(),
                },
            ),
            Cause::Boot => ("the kernel doesn't let it be probed: it ran at boot (`__init`), and its memory is free since".into(), {
                format!("nothing calls it any more; `awl -l 'kprobe:*{}*'` searches for others", name.trim_matches('_'))
            }),
            Cause::Hookless => (
                "the kernel doesn't let it be probed: it is marked `notrace` or written in assembler, and has no hook for tracers".into(),
                caller(),
            ),
            Cause::Forbidden { hooked: true } if provider != fentry => (
                "the kernel doesn't let it be probed: handling a kprobe may run it itself (`NOKPROBE_SYMBOL`)".into(),
                format!("`{fentry}:{name}` is not bound by that"),
            ),
            Cause::Forbidden { .. } => (
                "the kernel doesn't let it be probed: it is marked `noinstr` or `nokprobe`, as what handles exceptions and probes".into(),
                caller(),
            ),
        }
    }
}

/// The type of probe that needs no description of the function.
fn kprobe(provider: &str) -> &str {
    match provider {
        "fexit" => "kretprobe",
        "fentry" => "kprobe",
        p => p,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists() -> Lists {
        let text = "ffffffff81000000 T vfs_read\nffffffff81000100 T hidden\nffffffff81000200 t twice\nffffffff81000300 t twice\n\
                    ffffffff81000400 t made.part.0.cold\nffffffff81000410 t made.isra.0\nffffffff81000500 T do_int3\nffffffff81000600 T asm_exc\n\
                    ffffffff82000000 T _sinittext\nffffffff82000010 T start_kernel\nffffffff82001000 T _einittext\nffffffffc0000000 t its\t[mod]\n";
        let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<HashSet<String>>();
        Lists {
            symbols: Some(Kallsyms::of(text.into())),
            hooked: Some(set(&["vfs_read", "made.isra.0", "do_int3", "its"])),
            forbidden: set(&["do_int3", "asm_exc"]),
        }
    }

    #[test]
    fn causes() {
        let l = lists();
        assert_eq!(l.cause("vfs_read"), None);
        assert_eq!(l.cause("mod:its"), None);
        assert_eq!(l.cause("mod:vfs_read"), Some(Cause::Absent { made: None }));
        assert_eq!(l.cause("hidden"), Some(Cause::Hookless));
        assert_eq!(l.cause("twice"), Some(Cause::Several(vec![0xffffffff81000200, 0xffffffff81000300])));
        assert_eq!(l.cause("made"), Some(Cause::Absent { made: Some("made.isra.0".into()) }));
        assert_eq!(l.cause("start_kernel"), Some(Cause::Boot));
        assert_eq!(l.cause("do_int3"), Some(Cause::Forbidden { hooked: true }));
        assert_eq!(l.cause("asm_exc"), Some(Cause::Forbidden { hooked: false }));
        // Nobody tells a user without rights what is hooked.
        assert_eq!(Lists { hooked: None, ..lists() }.cause("hidden"), None);
    }

    #[test]
    fn help_names_a_probe_that_works() {
        let help = |c: Cause, provider: &str, name: &str| c.words(provider, name).1;
        assert_eq!(help(Cause::Forbidden { hooked: true }, "kretprobe", "do_int3"), "`fexit:do_int3` is not bound by that");
        assert!(help(Cause::Absent { made: Some("f.isra.0".into()) }, "fexit", "f").starts_with("probe `kretprobe:f.isra.0`"));
        assert!(help(Cause::Several(vec![0x10]), "kprobe", "f").contains("`kprobe:0x10`"));
    }
}
