//! Packets: addresses, parts of them, verdicts.

use super::Checker;
use crate::artifact::{CgroupHook, MapKind, ProgramKind};
use crate::diagnostic::{Diagnostic, nearest};
use crate::hir::{Context, Expr, ExprKind, MapId, Stmt, StmtKind};
use crate::packet::{self, Layer, verdict};
use crate::types::{FieldTy, Space, Ty};
use awl_grammar::ast::{self, BinOp};
use awl_grammar::span::Span;
use std::net::{Ipv4Addr, Ipv6Addr};

impl Checker<'_> {
    /// How this probe's program reaches packets, if it does.
    pub(crate) fn layer(&self) -> Option<Layer> {
        match self.at.context {
            Some(Context::Packet(layer)) => Some(layer),
            _ => None,
        }
    }

    /// `10.0.0.1`, `2001:db8::1`, `02:00:00:00:00:01`
    pub(crate) fn address(&mut self, text: &str, span: Span) -> Expr {
        if text.contains('/') {
            let d = Diagnostic::error("network-place", span, format!("the network `{text}` is no value"))
                .label("expected an address")
                .help(format!("ask whether an address is in it: `ip.saddr == {text}`"));
            return self.fail(d);
        }
        // The grammar has refused what is none.
        literal(text, span).unwrap_or_else(|| Expr::error(span))
    }

    /// `10.0.0.0/8`, or a parameter that is one.
    fn network(&self, e: &ast::Expr) -> Option<(Address, u32, Span)> {
        let text = match &e.kind {
            ast::ExprKind::Addr(t) => Some(t),
            ast::ExprKind::Param(n) => self.options.params.get((*n as usize).wrapping_sub(1)),
            _ => None,
        };
        let (address, bits) = text?.split_once('/')?;
        let (address, bits) = (parse(address)?, bits.parse::<u32>().ok()?);
        let most = if matches!(address, Address::V4(_)) { 32 } else { 128 };
        (bits <= most).then_some((address, bits, e.span))
    }

    /// What the kernel keeps as a structure or as a number and is one value of the language: an address (`struct in_addr`, `struct in6_addr`, `__be32`), TCP's flags.
    pub(crate) fn one_value(&self, e: Expr) -> Expr {
        let ty = match &e.ty {
            Ty::Record(r) => VALUES.iter().find(|(name, _)| *name == r.name).map(|(_, ty)| ty.clone()),
            Ty::Int { bytes: 4, .. } if self.is_network_order(&e) => Some(Ty::Ipv4),
            _ => None,
        };
        match (ty, &e.kind) {
            (Some(ty), ExprKind::Field { .. } | ExprKind::Deref(_) | ExprKind::Index { .. }) => Expr::new(e.kind, ty, e.span),
            _ => e,
        }
    }

    /// A field of the kernel's that is declared to be four bytes in network order.
    fn is_network_order(&self, e: &Expr) -> bool {
        let ExprKind::Field { base, field } = &e.kind else { return false };
        let Ok(btf) = self.target.btf() else { return false };
        let record = match &base.ty {
            Ty::Record(r) => r,
            Ty::Ptr(to, _) => match &**to {
                Ty::Record(r) => r,
                _ => return false,
            },
            _ => return false,
        };
        let declared = record.fields.iter().find(|f| f.name == field.name).map(|f| &f.ty);
        matches!(declared, Some(FieldTy::Btf(id)) if btf.is_called(*id, "__be32"))
    }

    /// A network as the key of a map, where that is an `lpm_trie`: its length and its address.
    pub(crate) fn network_keys(&self, map: MapId, e: &ast::Expr) -> Option<Vec<Expr>> {
        if self.kind_of(map) != Some(MapKind::LpmTrie) {
            return None;
        }
        let (address, bits, span) = self.network(e)?;
        let address = match address {
            Address::V4(a) => v4(a, span),
            Address::V6(a) => Expr::new(ExprKind::Bytes(a.octets().to_vec()), Ty::Ipv6, span),
            Address::Mac(_) => return None,
        };
        Some(vec![Expr::int(i64::from(bits), Ty::U32, span), address])
    }

    /// `address == 10.0.0.0/8`: is it in that network? `None`: no side is a network.
    pub(crate) fn membership(&mut self, op: BinOp, a: &ast::Expr, b: &ast::Expr, span: Span) -> Option<Expr> {
        let (value, (net, bits, at)) = match (self.network(a), self.network(b)) {
            (_, Some(n)) => (a, n),
            (Some(n), _) => (b, n),
            _ => return None,
        };
        if !matches!(op, BinOp::Eq | BinOp::Ne) {
            return None;
        }
        let value = self.expr(value);
        if value.is_error() {
            return Some(value);
        }
        let value = self.one_value(value);
        let inside = match (&value.ty, net) {
            (Ty::Ipv4, Address::V4(net)) => {
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                let net = v4((u32::from(net) & mask).into(), at);
                let mask = v4(mask.into(), at);
                let masked = Expr::new(ExprKind::Binary(BinOp::BitAnd, Box::new(value), Box::new(mask)), Ty::Ipv4, span);
                Expr::new(ExprKind::Binary(BinOp::Eq, Box::new(masked), Box::new(net)), Ty::Bool, span)
            }
            (Ty::Ipv6, Address::V6(net)) => {
                Expr::new(ExprKind::InNetwork { address: Box::new(value), network: net.octets(), bits }, Ty::Bool, span)
            }
            (t, net) => {
                let wanted = if matches!(net, Address::V4(_)) { Ty::Ipv4 } else { Ty::Ipv6 };
                let d = Diagnostic::error("type-mismatch", value.span, format!("a `{t}` is in no network of `{wanted}` addresses"))
                    .label(format!("expected `{wanted}`, found `{t}`"))
                    .because(at, "this network");
                let d = if t.is_int() { d.help("`(ipv4)n` makes an address of a number, its upper byte first") } else { d };
                return Some(self.fail(d));
            }
        };
        Some(match op {
            BinOp::Ne => Expr::new(ExprKind::Unary(ast::UnOp::Not, Box::new(inside)), Ty::Bool, span),
            _ => inside,
        })
    }

    /// `payload[from..to]`: bytes of the packet. `None`: not of a packet.
    pub(crate) fn packet_slice(&mut self, base: &Expr, from: &ast::Expr, to: &ast::Expr, span: Span) -> Option<Expr> {
        let Ty::Ptr(of, Space::Packet) = &base.ty else { return None };
        if of.size() != 1 {
            return None;
        }
        /// the longest slice, in bytes
        const MOST: i64 = 256;
        let (f, t) = (self.expr(from), self.expr(to));
        Some(match (f.as_int(), t.as_int()) {
            (Some(a), Some(b)) if 0 <= a && a < b && b - a <= MOST && b <= i64::from(crate::lower::packet::REACH) => {
                let kind = ExprKind::PacketBytes { base: Box::new(base.clone()), from: a as u32, len: (b - a) as u32 };
                Expr::new(kind, Ty::Buf((b - a) as u32), span)
            }
            _ if f.is_error() || t.is_error() => Expr::error(span),
            _ => {
                let d = Diagnostic::error("slice-bounds", span, "a part of a packet has constant bounds")
                    .label(format!("expected `[FROM..TO]`, TO behind FROM and up to {MOST} bytes"))
                    .help("for instance: `payload[0..4]`");
                self.fail(d)
            }
        })
    }

    /// A verdict of this probe by its name.
    pub(crate) fn own_verdict(&mut self, name: &str, span: Span) -> Option<Expr> {
        let family = self.at.kind.and_then(verdict::family)?;
        let v = family.find(name)?;
        Some(Expr::int(v.value.into(), family.ty(), span))
    }

    /// The error for a verdict of other probes. `None`: the name is no verdict at all.
    pub(crate) fn foreign_verdict(&mut self, name: &str, span: Span) -> Option<Expr> {
        let own = self.at.kind.and_then(verdict::family);
        let having = verdict::having(name);
        if having.is_empty() {
            return None;
        }
        let provider = self.at.provider;
        let d = Diagnostic::error("verdict", span, format!("`{name}` is a verdict of {} probes", having.join(" and ")))
            .because(self.at.span, format!("this is a `{provider}` probe"));
        Some(self.fail(match own {
            Some(f) => d.label(format!("expected one of {}", f.names())),
            None => d.label("this probe only watches: it has no verdicts").help("end it without a value: `return;`"),
        }))
    }

    /// What `return` gives back in a probe that has verdicts.
    pub(crate) fn returned_verdict(&mut self, kind: ProgramKind, value: &ast::Expr) -> Option<Expr> {
        let family = verdict::family(kind)?;
        self.at.acts = true;
        if let ast::ExprKind::Name(n) = &value.kind
            && family.find(n).is_none()
            && verdict::having(n).is_empty()
            && let Some(near) = nearest(n, family.verdicts.iter().map(|v| v.name)).filter(|_| crate::builtin::find(n).is_none())
        {
            let d = Diagnostic::error("verdict", value.span, format!("unknown verdict `{n}`"))
                .label(format!("did you mean `{near}`?"))
                .note(format!("the verdicts here are {}", family.names()));
            return Some(self.fail(d));
        }
        if let ast::ExprKind::Name(n) = &value.kind
            && let Some(own) = verdict::of_c(n).and_then(|v| family.find(v.name))
        {
            let d = Diagnostic::error("verdict", value.span, format!("`{n}` is what C programs return; here it is `{}`", own.name))
                .label(format!("expected one of {}", family.names()))
                .help(format!("write `return {};`", own.name));
            return Some(self.fail(d));
        }
        let e = self.expr(value);
        Some(match &e.ty {
            Ty::Error => e,
            t if t.is_int()
                && family.errors
                && e.as_int().is_some_and(|n| !(-4095..=0).contains(&n))
                && matches!(kind, ProgramKind::Lsm { .. }) =>
            {
                let d = Diagnostic::error("verdict", e.span, format!("{} is no verdict of `lsm` probes", e.as_int().unwrap_or(0)))
                    .label("expected 0 (allow) or the negative of an error number")
                    .help("for instance: `return -EPERM;`");
                self.fail(d)
            }
            t if *t == family.ty() || (family.errors && t.is_int()) => self.to_int64(e),
            t => {
                let d = Diagnostic::error("verdict", e.span, format!("a `{t}` is no verdict of `{}` probes", family.probes))
                    .label(format!("expected one of {}", family.names()))
                    .help(format!("for instance: `return {};`", family.verdicts[0].name));
                self.fail(d)
            }
        })
    }

    /// Fields of what the kernel hands over beside the packet that a program may set.
    pub(super) fn settable(&self) -> &'static [&'static str] {
        use CgroupHook::{Bind4, Bind6, Connect4, Connect6, Sendmsg4, Sendmsg6};
        match (self.layer(), self.at.kind) {
            (Some(Layer::Link), _) => &["mark", "priority", "queue_mapping", "tc_index", "tc_classid"],
            (Some(Layer::Network), _) => &["mark", "priority"],
            (None, Some(ProgramKind::Cgroup(Connect4 | Bind4))) => &["user_ip4", "user_port"],
            (None, Some(ProgramKind::Cgroup(Connect6 | Bind6))) => &["user_ip6", "user_port"],
            (None, Some(ProgramKind::Cgroup(Sendmsg4))) => &["user_ip4", "user_port", "msg_src_ip4"],
            (None, Some(ProgramKind::Cgroup(Sendmsg6))) => &["user_ip6", "user_port", "msg_src_ip6"],
            _ => &[],
        }
    }

    /// `ip.ttl = 64`, `skb.mark = 7`, `args.user_port = 80`
    pub(crate) fn assign_field(&mut self, place: Expr, op: Option<BinOp>, value: &ast::Expr, span: Span, out: &mut Vec<Stmt>) {
        let layer = self.layer();
        let of_packet = crate::lower::packet::write::root(&place).is_some();
        let of_stack = match &place.kind {
            ExprKind::Field { base, field } if matches!(base.kind, ExprKind::Ctx) => self.settable().contains(&field.name.as_str()),
            _ => false,
        };
        let writes = matches!(layer, Some(Layer::Xdp | Layer::Link)) && of_packet || of_stack;
        if !writes || !matches!(place.kind, ExprKind::Field { .. }) {
            let d = Diagnostic::error("not-a-place", place.span, "this can't be assigned");
            self.report(match layer {
                None => d.label(format!("expected `args.{}`, a variable `$x` or a map `@x[...]`", self.settable().join("`, `args."))),
                Some(Layer::Network | Layer::Socket) => d
                    .label("expected a variable `$x` or a map `@x[...]`")
                    .help(format!("a `{}` probe doesn't write to packets; `xdp` and `tc` probes do", self.at.provider)),
                _ => d.label("expected a header's field (`ip.ttl`), a variable `$x`, a map `@x[...]`, or `skb.mark` and the like in `tc`"),
            });
            return;
        }
        let value = self.expr(value);
        let value = match op {
            Some(op) => self.binary(op, place.clone(), value, span),
            None => value,
        };
        if value.is_error() {
            return;
        }
        let ty = place.ty.clone();
        let value = super::operator::as_buffer(value, &ty);
        if ty.is_int() || value.ty == ty {
            if let Some(value) = self.coerce(value, &ty, "assigned to this field") {
                self.at.acts = true;
                out.push(Stmt { kind: StmtKind::SetField { place, value }, span });
            }
            return;
        }
        let d = Diagnostic::error("type-mismatch", value.span, format!("`{}` assigned to a field, which holds `{ty}`", value.ty));
        self.report(d.label(format!("expected `{ty}`")));
    }

    /// The probe's program does more than watch.
    pub fn acts(&mut self) {
        self.at.acts = true;
    }

    /// A header of the packet, for the builtin of that name.
    pub fn header(&mut self, call: &super::Call) -> Expr {
        let (name, span) = (call.row.name, call.span);
        if self.layer().is_none() {
            let d = Diagnostic::error("no-packet", span, format!("`{name}` is a part of a packet, this probe has none"))
                .label("nothing to read here")
                .because(self.at.span, format!("this is a `{}` probe", self.at.provider))
                .help(format!("for instance: {}", call.row.example));
            return self.fail(d);
        }
        let of = match (packet::header(name), self.types.packet_record(name)) {
            (Some(packet::Header::Payload), _) => Ty::U8,
            (_, Some(r)) => Ty::Record(r),
            (_, None) => return self.fail(Diagnostic::internal("packet", format!("the library has no `struct {name}`"))),
        };
        Expr::new(ExprKind::Call { builtin: call.row, args: Vec::new() }, Ty::ptr(of, Space::Packet), span)
    }
}

/// An address as a constant.
pub(super) fn literal(text: &str, span: Span) -> Option<Expr> {
    Some(match parse(text)? {
        Address::V4(a) => v4(a, span),
        Address::V6(a) => Expr::new(ExprKind::Bytes(a.octets().to_vec()), Ty::Ipv6, span),
        Address::Mac(m) => Expr::new(ExprKind::Bytes(m.to_vec()), Ty::Mac, span),
    })
}

/// Structures that are one value.
const VALUES: &[(&str, Ty)] = &[("struct in_addr", Ty::Ipv4), ("struct in6_addr", Ty::Ipv6), ("struct tcp_flags", Ty::U8)];

enum Address {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    Mac([u8; 6]),
}

fn parse(text: &str) -> Option<Address> {
    if let Ok(a) = text.parse() {
        return Some(Address::V4(a));
    }
    if let Ok(a) = text.parse() {
        return Some(Address::V6(a));
    }
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for b in &mut mac {
        *b = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(Address::Mac(mac))
}

/// In network order: as it lies in memory.
fn v4(a: Ipv4Addr, span: Span) -> Expr {
    Expr::int(i64::from(u32::from_le_bytes(a.octets())), Ty::Ipv4, span)
}
