//! Tracepoints in BTF. `typedef void (*btf_trace_EVENT)(void *, ARGS...)` exists for every tracepoint since Linux 5.5;
//! the loader wants that typedef's id, and its prototype is what the verifier checks against. It has no names: they
//! come from a function of the same prototype. `__traceiter_EVENT` (5.10) and `__probestub_EVENT` (6.4) exist for each
//! event, `__bpf_trace_CLASS` for each class of events.

use super::{Btf, Kind, Param};

impl Btf {
    /// Id of the typedef by which a raw tracepoint is attached.
    pub fn trace_typedef(&self, event: &str) -> Option<u32> {
        self.find(Kind::Typedef, &format!("btf_trace_{event}"))
    }

    /// Arguments of a raw tracepoint, without the `void *` in front; number `i` lies at byte `8 * i` of the context.
    /// Where BTF has no name they are called `arg0`, `arg1`, ...
    pub fn trace_args(&self, event: &str) -> Option<Vec<Param>> {
        let (mut args, _) = self.prototype(self.trace_typedef(event)?)?;
        if args.is_empty() {
            return None;
        }
        args.remove(0);
        let named = ["__traceiter_", "__probestub_", "__bpf_trace_"]
            .iter()
            .filter_map(|prefix| self.func_params(&format!("{prefix}{event}")))
            .find(|p| {
                p.len() == args.len() + 1
                    && p[1..].iter().zip(&args).all(|(p, a)| p.id == a.id)
                    && p[1..].iter().all(|p| !p.name.is_empty())
            });
        for (i, arg) in args.iter_mut().enumerate() {
            arg.name = match &named {
                Some(names) => names[i + 1].name.clone(),
                None if arg.name.is_empty() => format!("arg{i}"),
                None => continue,
            };
        }
        Some(args)
    }

    /// Events that have a raw tracepoint, as BTF knows them, by id.
    pub fn trace_events(&self) -> impl Iterator<Item = &str> {
        self.names(Kind::Typedef).filter_map(|(name, _)| name.strip_prefix("btf_trace_"))
    }
}
