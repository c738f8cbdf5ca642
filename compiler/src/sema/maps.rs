//! Kinds of maps: what a declaration may say, and what each kind asks of keys and values.

use super::{Checker, devices::is_device};
use crate::artifact::{EventKind, MapKind};
use crate::bpf::described::can_be_kept;
use crate::diagnostic::{Diagnostic, nearest};
use crate::hir::{Expr, ExprKind, Stmt, StmtKind};
use crate::types::Ty;
use awl_grammar::ast;
use awl_grammar::span::Span;

/// The kinds by the names that declarations use.
pub const KINDS: &[(&str, MapKind)] = &[
    ("hash", MapKind::Hash),
    ("lruhash", MapKind::LruHash),
    ("percpuhash", MapKind::PercpuHash),
    ("percpulruhash", MapKind::LruPercpuHash),
    ("array", MapKind::Array),
    ("percpuarray", MapKind::PercpuArray),
    ("lpm_trie", MapKind::LpmTrie),
    ("queue", MapKind::Queue),
    ("stack", MapKind::Stack),
    ("bloom", MapKind::BloomFilter),
    ("devmap", MapKind::DevMap),
    ("cpumap", MapKind::CpuMap),
];

pub fn kind_name(kind: MapKind) -> &'static str {
    KINDS.iter().find(|(_, k)| *k == kind).map_or("", |(n, _)| n)
}

/// Its elements have no keys: they are pushed, popped, or only known to be there.
pub fn is_keyless(kind: MapKind) -> bool {
    matches!(kind, MapKind::Queue | MapKind::Stack | MapKind::BloomFilter)
}

fn is_per_cpu(kind: MapKind) -> bool {
    matches!(kind, MapKind::PercpuHash | MapKind::LruPercpuHash | MapKind::PercpuArray)
}

/// Where a map got a type.
fn map_span(map: &super::MapState, ty: &Ty) -> Span {
    if map.value == *ty { map.value_span } else { map.keys_span }
}

impl Checker<'_> {
    pub(crate) fn kind_of(&self, map: usize) -> Option<MapKind> {
        self.maps[map].declared.map(|(k, _)| k)
    }

    pub(crate) fn map_declaration(&mut self, d: &ast::MapDecl) {
        let id = self.map_id(&d.map.name, d.map.span);
        let name = match d.kind.name.as_str() {
            "lrupercpuhash" => "percpulruhash",
            n => n,
        };
        let Some((_, kind)) = KINDS.iter().find(|(n, _)| *n == name) else {
            let names: Vec<&str> = KINDS.iter().map(|(n, _)| *n).collect();
            let near = nearest(name, names.iter().copied());
            self.report(
                Diagnostic::error("map-kind", d.kind.span, format!("unknown kind of map `{name}`"))
                    .label(near.map_or("not a kind of map".into(), |n| format!("did you mean `{n}`?")))
                    .help(format!("the kinds are {}", names.join(", "))),
            );
            return;
        };
        let entries = match d.args.as_slice() {
            [e] => self.expr(e).as_int().filter(|n| (1..=i64::from(u32::MAX)).contains(n)),
            _ => None,
        };
        let Some(entries) = entries else {
            self.report(
                Diagnostic::error("map-size", d.span, "a map's declaration takes the number of its entries")
                    .label("expected one constant from 1")
                    .help(format!("let @{} = {}(4096);", d.map.name, d.kind.name)),
            );
            return;
        };
        self.maps[id].declared = Some((*kind, entries as u32));
        self.maps[id].declared_span = Some(d.span);
        if is_device(*kind) {
            self.device_types(id, d.span);
        }
        let Some(ast::Expr { kind: ast::ExprKind::Str(name), span }) = &d.pin else { return };
        let fits = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if name.is_empty() || !name.iter().all(fits) {
            let name = String::from_utf8_lossy(name);
            self.report(
                Diagnostic::error("pin-name", *span, format!("`{name}` is no name to keep a map under"))
                    .label("expected letters, digits, `_` and `-`")
                    .help(format!("let @{0} = {1}({entries}) pin(\"{0}\");", d.map.name, d.kind.name)),
            );
            return;
        }
        self.maps[id].pin = Some((String::from_utf8_lossy(name).into_owned(), *span));
    }

    /// Maps that are kept and only read here: their values are numbers, which another script or `awl map` gives them. True
    /// where that is news.
    pub(crate) fn others_write(&mut self) -> bool {
        let mut news = false;
        for m in self.maps.iter_mut().filter(|m| m.pin.is_some() && m.read.is_some() && !m.written && m.value == Ty::Error) {
            m.value = Ty::I64;
            news = true;
        }
        news
    }

    /// Maps that are kept: others must be able to say what is in them.
    pub(crate) fn check_pins(&mut self) {
        for m in 0..self.maps.len() {
            let map = &self.maps[m];
            let Some((name, at)) = map.pin.clone() else { continue };
            let (keys, value) = (map.keys.clone().unwrap_or_default(), map.value.clone());
            if value == Ty::Error {
                continue;
            }
            let title = map.name.clone();
            if let Some(other) = self.maps[..m].iter().find(|o| o.pin.as_ref().is_some_and(|(n, _)| *n == name)) {
                let other = other.name.clone();
                let d = Diagnostic::error("pin-name", at, format!("`@{other}` is kept under `{name}`, too"));
                self.report(d.label("expected a name for each map"));
                continue;
            }
            let kind = self.kind_of(m).filter(|k| is_keyless(*k));
            if keys.is_empty() || kind.is_some() {
                let d = Diagnostic::error("pin-type", at, format!("`@{title}` has no keys: it can't be kept"));
                let help =
                    format!("an array has room for single values: `let @{title} = array(1) pin(\"{name}\");` and `@{title}[0] = ...`");
                self.report(d.label("expected a map with keys").help(help));
                continue;
            }
            if let Some(ty) = keys.iter().chain([&value]).find(|t| !can_be_kept(t)) {
                let d = Diagnostic::error("pin-type", at, format!("`@{title}` holds a `{ty}`, which says nothing to who reads it later"));
                self.report(
                    d.label("can't be kept")
                        .because(map_span(&self.maps[m], ty), "it comes from here")
                        .help("numbers, strings, addresses, tuples of them and the simple aggregations can be kept"),
                );
            }
        }
    }

    /// Can the map be read and assigned as `@m[k]`? Reports where not.
    pub(crate) fn has_places(&mut self, map: usize, span: Span) -> bool {
        let Some(kind) = self.kind_of(map).filter(|k| is_keyless(*k) || is_device(*k)) else { return true };
        let name = self.maps[map].name.clone();
        if is_device(kind) {
            let d = Diagnostic::error("map-kind", span, format!("`@{name}` is a `{}`: programs can't look into it", kind_name(kind)));
            let help = format!("`return redirect(@{name}[0]);` sends packets there, `print(@{name})` shows what is in it");
            self.report(d.label("only assigned (`=`), deleted, and named in `redirect`").help(help));
            return false;
        }
        let help = match kind {
            MapKind::BloomFilter => format!("`push(@{name}, value)` and `has_key(@{name}, value)`"),
            _ => format!("`push(@{name}, value)`, `pop(@{name}, $out)` and `peek(@{name}, $out)`"),
        };
        self.report(
            Diagnostic::error("map-kind", span, format!("`@{name}` is a `{}`: it has no elements to name", kind_name(kind)))
                .label("can't be read or assigned so")
                .help(help),
        );
        false
    }

    /// Can the map's elements be gone through and counted? Reports where the kernel has no way to.
    pub(crate) fn is_walked(&mut self, map: usize, span: Span) -> bool {
        let Some(kind) = self.kind_of(map).filter(|k| is_keyless(*k) || is_device(*k) || *k == MapKind::LpmTrie) else { return true };
        let name = self.maps[map].name.clone();
        let d =
            Diagnostic::error("map-kind", span, format!("`@{name}` is a `{}`: programs can't go through its elements", kind_name(kind)))
                .label("expected a map of another kind");
        self.report(match kind {
            MapKind::LpmTrie | MapKind::DevMap | MapKind::CpuMap => {
                d.help(format!("`print(@{name})` shows them; to count, keep a number beside it: `@n++`"))
            }
            MapKind::Queue | MapKind::Stack => d.help(format!("take them out one by one: `while (pop(@{name}, $out)) {{ ... }}`")),
            _ => d.help("ask for a single element: `has_key`"),
        });
        false
    }

    /// Keys as the map's kind lays them out: an index of four bytes, or a prefix's length and the bytes that it is of.
    pub(crate) fn fit_kind(&mut self, map: usize, mut keys: Vec<Expr>, span: Span) -> Option<Vec<Expr>> {
        let kind = self.kind_of(map);
        let name = self.maps[map].name.clone();
        let cast = |e: &mut Expr| {
            if e.ty != Ty::U32 {
                let at = e.span;
                let inner = std::mem::replace(e, Expr::error(at));
                *e = match inner.as_int() {
                    Some(n) => Expr::int(i64::from(n as u32), Ty::U32, at),
                    None => Expr::new(ExprKind::Cast(Box::new(inner)), Ty::U32, at),
                };
            }
        };
        if kind == Some(MapKind::LpmTrie) && keys.len() == 1 {
            keys = keys.into_iter().map(|k| self.one_value(k)).collect();
        }
        if let (Some(MapKind::LpmTrie), [data]) = (kind, keys.as_slice())
            && let Ty::Ipv4 | Ty::Ipv6 = data.ty
        {
            // An address alone is looked up with all of its bits.
            let bits = Expr::int(i64::from(8 * data.ty.size()), Ty::U32, span);
            keys.insert(0, bits);
        }
        let (fits, expected) = match (kind, keys.as_mut_slice()) {
            (Some(MapKind::Array | MapKind::PercpuArray | MapKind::DevMap | MapKind::CpuMap), keys) => match keys {
                [index] if index.ty.is_int() => {
                    cast(index);
                    (true, "")
                }
                _ => (false, "an index: one integer"),
            },
            (Some(MapKind::LpmTrie), keys) => match keys {
                [len, data]
                    if len.ty.is_int()
                        && (matches!(data.ty, Ty::Ipv4 | Ty::Ipv6)
                            || data.ty.is_int()
                            || matches!(&data.ty, Ty::Array(t, _) if t.size() == 1)) =>
                {
                    cast(len);
                    if data.ty.is_int() {
                        cast(data);
                    }
                    (true, "")
                }
                _ => (
                    false,
                    "two keys: the length of the prefix in bits, and an address (an array of bytes, or four bytes in network order)",
                ),
            },
            _ => (true, ""),
        };
        if !fits {
            let kind = kind.map_or("", kind_name);
            self.report(
                Diagnostic::error("key-type", span, format!("`@{name}` is of kind {kind}: its keys are other ones"))
                    .label(format!("expected {expected}")),
            );
            return None;
        }
        Some(keys)
    }

    /// Declared kinds against what the maps came to hold.
    pub(crate) fn check_kinds(&mut self) {
        for m in 0..self.maps.len() {
            let (Some(kind), Some(at)) = (self.kind_of(m), self.maps[m].declared_span) else { continue };
            let (name, value) = (self.maps[m].name.clone(), self.maps[m].value.clone());
            let aggregates = matches!(value, Ty::Agg(_));
            if value == Ty::Error || is_keyless(kind) || is_device(kind) || aggregates == is_per_cpu(kind) {
                continue;
            }
            let other = match kind {
                MapKind::Hash => "percpuhash",
                MapKind::LruHash => "percpulruhash",
                MapKind::Array => "percpuarray",
                MapKind::PercpuHash => "hash",
                MapKind::LruPercpuHash => "lruhash",
                MapKind::PercpuArray => "array",
                _ => "hash",
            };
            let entries = self.maps[m].declared.map_or(0, |(_, n)| n);
            let because = self.maps[m].value_span;
            let message = if aggregates {
                format!("`@{name}` holds a `{value}`, which each CPU has its own of; a `{}` is shared", kind_name(kind))
            } else {
                format!("`@{name}` holds a `{value}`, which all CPUs share; a `{}` has one for each", kind_name(kind))
            };
            self.report(
                Diagnostic::error("map-kind", at, message)
                    .label(format!("expected {other}"))
                    .because(because, "it is assigned here")
                    .help(format!("let @{name} = {other}({entries});")),
            );
        }
    }

    /// `print(@m); clear(@m);` is one step: what comes between the two would be counted and never seen. Nothing but other
    /// output may stand between them.
    pub(crate) fn take_printed(&mut self, stmts: &mut Vec<Stmt>) {
        let event_of = |s: &Stmt| match &s.kind {
            StmtKind::Expr(Expr { kind: ExprKind::Emit { event, .. }, .. }) => Some(*event),
            _ => None,
        };
        let mut i = 0;
        while i < stmts.len() {
            let cleared = event_of(&stmts[i]).and_then(|e| match self.program.events[e].kind {
                EventKind::Clear(m) => Some(m),
                _ => None,
            });
            let printed = cleared.and_then(|m| {
                let before = stmts[..i].iter().rev().map_while(event_of);
                before
                    .take_while(|e| !matches!(self.program.events[*e].kind, EventKind::Zero(z) if z == m))
                    .find(|e| matches!(self.program.events[*e].kind, EventKind::PrintMap(p) if p == m))
            });
            match (printed, cleared) {
                (Some(event), Some(m)) => {
                    self.program.events[event].kind = EventKind::TakeMap(m);
                    stmts.remove(i);
                }
                _ => i += 1,
            }
        }
    }
}
