//! Maps that packets are sent to: of interfaces (`devmap`) and of CPUs (`cpumap`). The kernel lets no program write them, so
//! what a script assigns is an order to the runtime; programs name their entries in `redirect(@m[k])` alone.

use super::{Call, Checker};
use crate::artifact::{EventKind, MapKind, ProgramKind};
use crate::diagnostic::{Diagnostic, nearest};
use crate::hir::{Expr, ExprKind, MapId, Stmt, StmtKind};
use crate::packet::verdict;
use crate::types::Ty;
use awl_grammar::ast::{self, BinOp};
use awl_grammar::span::Span;

/// Do its entries say where packets go?
pub fn is_device(kind: MapKind) -> bool {
    matches!(kind, MapKind::DevMap | MapKind::CpuMap)
}

impl Checker<'_> {
    /// Keys and values of a declared map of that kind: numbers of 32 bits (an index or a CPU; an interface or a queue's length).
    pub(crate) fn device_types(&mut self, map: MapId, span: Span) {
        let m = &mut self.maps[map];
        (m.keys, m.value) = (Some(vec![Ty::U32]), Ty::U32);
        (m.keys_span, m.value_span) = (span, span);
    }

    /// The map that a place names, if it is one of these.
    fn device_map(&mut self, place: &ast::Expr) -> Option<MapId> {
        let (ast::ExprKind::Map(name) | ast::ExprKind::MapIndex { map: ast::Ident { name, .. }, .. }) = &place.kind else { return None };
        let map = self.map_id(name, place.span);
        self.kind_of(map).is_some_and(is_device).then_some(map)
    }

    fn device_key(&mut self, map: MapId, place: &ast::Expr) -> Option<Expr> {
        let keys = match &place.kind {
            ast::ExprKind::MapIndex { keys, .. } => keys.iter().map(|k| self.expr(k)).collect(),
            _ => Vec::new(),
        };
        self.map_keys(map, keys, place.span)?.pop()
    }

    /// `@out[1] = "eth1"`, `@cpus[2] = 192`. False: another kind of map.
    pub(crate) fn assign_device(
        &mut self,
        place: &ast::Expr,
        op: Option<BinOp>,
        value: &ast::Expr,
        span: Span,
        out: &mut Vec<Stmt>,
    ) -> bool {
        let Some(map) = self.device_map(place) else { return false };
        if op.is_some() {
            self.has_places(map, place.span);
            return true;
        }
        self.maps[map].written = true;
        let (key, value) = (self.device_key(map, place), self.expr(value));
        let Some(key) = key.filter(|_| !value.is_error()) else { return true };
        let name = value.as_str().map(|s| String::from_utf8_lossy(s).into_owned());
        let value = match (name, self.kind_of(map)) {
            (Some(name), Some(MapKind::DevMap)) => self.interface(&name, value.span),
            _ if value.ty.is_int() => self.coerce(value, &Ty::U32, "assigned to this map").unwrap_or_else(|| Expr::error(span)),
            (_, kind) => {
                let map = self.maps[map].name.clone();
                let (expected, help) = match kind {
                    Some(MapKind::DevMap) => ("an interface: its name or its number", format!("`@{map}[0] = \"eth1\";`")),
                    _ => ("how many packets the CPU's queue holds", format!("`@{map}[1] = 192;`: CPU 1, a queue of 192 packets")),
                };
                let d = Diagnostic::error("type-mismatch", value.span, format!("a `{}` is no entry of `@{map}`", value.ty));
                self.fail(d.label(format!("expected {expected}")).help(help))
            }
        };
        if !value.is_error() {
            self.order(map, key, value, span, out);
        }
        true
    }

    fn order(&mut self, map: MapId, key: Expr, value: Expr, span: Span, out: &mut Vec<Stmt>) {
        let order = self.emit(EventKind::Fill(map), vec![key, value], span);
        out.push(Stmt { kind: StmtKind::Expr(order), span });
    }

    /// `delete(@out, 1)`, `delete(@out[1])`. `None`: another kind of map.
    pub fn delete_device(&mut self, call: &Call) -> Option<Expr> {
        let place = call.ast(0)?;
        let map = self.device_map(place)?;
        let key = match call.ast(1) {
            Some(key) if call.args.len() == 2 => {
                let key = self.expr(key);
                self.map_keys(map, vec![key], call.span)?.pop()
            }
            _ => self.device_key(map, place),
        };
        let Some(key) = key else { return Some(Expr::error(call.span)) };
        // The kernel takes 0 for none in both kinds.
        let none = Expr::int(0, Ty::U32, call.span);
        Some(self.emit(EventKind::Fill(map), vec![key, none], call.span))
    }

    /// The number of an interface, by its name.
    pub(crate) fn interface(&mut self, name: &str, span: Span) -> Expr {
        let all = self.target.interfaces().unwrap_or_default();
        if let Some(found) = all.iter().find(|i| i.name == name) {
            return Expr::int(i64::from(found.index), Ty::U32, span);
        }
        let d = Diagnostic::error("unknown-interface", span, format!("there is no network interface `{name}` here"));
        self.fail(match nearest(name, all.iter().map(|i| i.name.as_str())) {
            Some(n) => d.label(format!("did you mean `{n}`?")),
            None => d.label("no such interface"),
        })
    }

    /// `redirect("eth1")`, `redirect(@out[k])`
    pub fn redirect(&mut self, call: &Call) -> Expr {
        let place = call.ast(0).filter(|_| call.args.len() == 1);
        let of_map = place.and_then(|p| Some((p, self.device_map(p)?)));
        let args = match of_map {
            Some((place, map)) => {
                self.maps[map].read.get_or_insert(place.span);
                let key = self.device_key(map, place);
                key.map(|key| vec![Expr::new(ExprKind::MapGet { map, keys: vec![key] }, Ty::U32, place.span)])
            }
            None => self.checked_args(call),
        };
        let Some(mut args) = args else { return Expr::error(call.span) };
        let Some(family) = self.at.kind.and_then(verdict::family).filter(|f| f.find("REDIRECT").is_some()) else {
            let d = Diagnostic::error("verdict", call.span, "this probe can't send packets elsewhere")
                .label(format!("this is a `{}` probe", self.at.provider))
                .help(format!("for instance: {}", call.row.example));
            return self.fail(d);
        };
        let name = args[0].as_str().map(|s| String::from_utf8_lossy(s).into_owned());
        let to = match (of_map, name) {
            (Some((place, _)), _) if self.at.kind != Some(ProgramKind::Xdp) => {
                let d = Diagnostic::error("verdict", place.span, "only `xdp` probes send packets to the entry of a map")
                    .label(format!("this is a `{}` probe", self.at.provider))
                    .help("an interface goes by its name here: `return redirect(\"eth1\");`");
                self.fail(d)
            }
            (Some(_), _) => args.remove(0),
            (None, Some(name)) => self.interface(&name, args[0].span),
            (None, None) => {
                let d = Diagnostic::error("arg-type", args[0].span, format!("packets can't be sent to a `{}`", args[0].ty))
                    .label("expected the name of an interface, or an entry of a devmap or cpumap")
                    .note(call.row.signature)
                    .help("interfaces that are chosen at run time: `let @out = devmap(8); ... return redirect(@out[$i]);`");
                self.fail(d)
            }
        };
        if to.is_error() {
            return to;
        }
        Expr::new(ExprKind::Call { builtin: call.row, args: vec![to] }, family.ty(), call.span)
    }
}
