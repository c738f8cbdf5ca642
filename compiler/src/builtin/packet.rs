//! Packets: their headers, and what is known of a whole one.

use super::{Builtin, Check, Lower};
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, ExprKind};
use crate::lower::body::Operand;
use crate::lower::helper;
use crate::lower::packet::dns;
use crate::packet::{self, Layer};
use crate::sema::{Call, Checker};
use crate::types::{Space, Ty};

macro_rules! header {
    ($name:literal, $header:ident, $doc:literal, $example:literal) => {
        Builtin {
            name: $name,
            aliases: &[],
            signature: concat!($name, "() -> struct ", $name, "*"),
            is_unsafe: false,
            doc: $doc,
            example: $example,
            check: Check::Custom(|c, call| c.header(call)),
            lower: Lower::Code(|b, _, _, _| Operand::Scalar(b.header_place(packet::Header::$header))),
        }
    };
}

pub const ROWS: &[Builtin] = &[
    header!("eth", Eth, "the packet's Ethernet header: `dst src type`", "xdp:lo { @[eth.type] = count(); }"),
    header!(
        "vlan",
        Vlan,
        "its outermost VLAN tag: `id dei pcp type`; `vlan + 1` is the next one where `type` is a tag's",
        "xdp:lo { @[vlan.id] = count(); }"
    ),
    header!("arp", Arp, "its ARP header, for IPv4 on Ethernet: `op sha spa tha tpa ...`", "xdp:lo /arp.op == 1/ { @[arp.tpa] = count(); }"),
    header!("ip", Ip, "its IPv4 header: `saddr daddr protocol ttl tos len id frag_off mf df ...`", "xdp:lo { @[ip.saddr] = count(); }"),
    header!(
        "ip6",
        Ip6,
        "its IPv6 header: `saddr daddr nexthdr hop_limit payload_len flow_label ...`",
        "xdp:lo /ip6.saddr == fe80::/10/ { @[ip6.daddr] = count(); }"
    ),
    header!(
        "tcp",
        Tcp,
        "its TCP header, behind IPv4 or IPv6: `sport dport seq ack_seq doff flags window ...`",
        "xdp:lo /tcp.flags.syn && !tcp.flags.ack/ { @[tcp.dport] = count(); }"
    ),
    header!("udp", Udp, "its UDP header: `sport dport len check`", "xdp:lo /udp.dport == 53/ { @ = count(); }"),
    header!("icmp", Icmp, "its ICMP header: `type code id seq`", "xdp:lo /icmp.type == 8/ { @[ip.saddr] = count(); }"),
    header!("icmp6", Icmp6, "its ICMPv6 header: `type code id seq`", "xdp:lo /icmp6.type == 128/ { @[ip6.saddr] = count(); }"),
    header!(
        "dns",
        Dns,
        "its DNS header, in UDP from or to port 53: `id qr opcode rcode qdcount ancount ...`",
        "xdp:lo /dns.qr == 0/ { @queries = count(); }"
    ),
    Builtin {
        name: "dns_qname",
        aliases: &[],
        signature: "dns_qname() -> string",
        is_unsafe: false,
        doc: "the name that its first DNS question asks for, also written `dns.qname`; the run ends where the name is cut short or is none",
        example: "xdp:lo /dns.qr == 0/ { @[dns.qname] = count(); }",
        check: Check::Custom(|c, call| question(c, call, Ty::Str(dns::NAME))),
        lower: Lower::Padded(|b, _, args, into| Operand::Mem(b.dns_name(&args[0], into))),
    },
    Builtin {
        name: "dns_qtype",
        aliases: &[],
        signature: "dns_qtype() -> uint16",
        is_unsafe: false,
        doc: "what its first DNS question asks for (1: an IPv4 address, 28: IPv6), also written `dns.qtype`",
        example: "xdp:lo /dns.qr == 0 && dns.qtype == 28/ { @[dns.qname] = count(); }",
        check: Check::Custom(|c, call| question(c, call, Ty::Int { bytes: 2, signed: false })),
        lower: Lower::Code(|b, _, args, _| Operand::Scalar(b.dns_type(&args[0]))),
    },
    Builtin {
        name: "payload",
        aliases: &[],
        signature: "payload() -> uint8*",
        is_unsafe: false,
        doc: "its bytes behind the header of TCP, UDP or ICMP: `payload[0]`, `payload[0..4]`",
        example: "xdp:lo /tcp.dport == 80 && payload[0..4] == \"GET \"/ { @ = count(); }",
        check: Check::Custom(|c, call| c.header(call)),
        lower: Lower::Code(|b, _, _, _| Operand::Scalar(b.header_place(packet::Header::Payload))),
    },
    Builtin {
        name: "pkt",
        aliases: &[],
        signature: "pkt() -> any",
        is_unsafe: false,
        doc: "the packet as a whole: `pkt.len`, its bytes",
        example: "xdp:lo { @ = hist(pkt.len); }",
        check: Check::Custom(whole),
        lower: Lower::Code(|b, _, _, _| Operand::Scalar(b.packet_len())),
    },
    Builtin {
        name: "skb",
        aliases: &[],
        signature: "skb() -> struct skb*",
        is_unsafe: false,
        doc: "what the network stack knows of the packet: `skb.len`, `skb.mark`, `skb.priority`, `skb.protocol`, `skb.ifindex`, ...",
        example: "tc:lo:ingress { @[skb.mark, skb.priority] = count(); }",
        check: Check::Custom(buffer),
        lower: Lower::Never,
    },
    Builtin {
        name: "redirect",
        aliases: &[],
        signature: "redirect(to) -> verdict",
        is_unsafe: false,
        doc: "the verdict that sends the packet out of another interface, by its name or (xdp) by an entry of a devmap, `redirect(@out[k])`, or to the CPU of a cpumap's; where the map has no such entry the packet passes",
        example: "xdp:lo /udp.dport == 9/ { return redirect(\"lo\"); }",
        check: Check::Custom(|c, call| c.redirect(call)),
        lower: Lower::Code(|b, _, args, _| Operand::Scalar(b.redirect(&args[0]))),
    },
    Builtin {
        name: "mirror",
        aliases: &[],
        signature: "mirror(to: string) -> int64",
        is_unsafe: false,
        doc: "sends a copy of the packet out of another interface, by its name; 0, or a negative error (tc)",
        example: "tc:lo:ingress /udp.dport == 9/ { mirror(\"lo\"); }",
        check: Check::Custom(mirror),
        lower: Lower::Code(|b, _, args, _| Operand::Scalar(b.mirror(&args[0]))),
    },
    Builtin {
        name: "adjust_head",
        aliases: &[],
        signature: "adjust_head(bytes: int) -> int64",
        is_unsafe: false,
        doc: "moves the packet's start: bytes below 0 make room in front, above 0 cut off; 0, or a negative error (xdp)",
        example: "xdp:lo /vlan/ { adjust_head(4); }",
        check: Check::Custom(|c, call| adjust(c, call, &[Layer::Xdp])),
        lower: Lower::Code(|b, _, args, _| Operand::Scalar(b.adjust(helper::XDP_ADJUST_HEAD, args, None))),
    },
    Builtin {
        name: "adjust_tail",
        aliases: &[],
        signature: "adjust_tail(bytes: int) -> int64",
        is_unsafe: false,
        doc: "moves the packet's end: bytes below 0 cut off; 0, or a negative error (xdp)",
        example: "xdp:lo /pkt.len > 100/ { adjust_tail(-10); }",
        check: Check::Custom(|c, call| adjust(c, call, &[Layer::Xdp])),
        lower: Lower::Code(|b, _, args, _| Operand::Scalar(b.adjust(helper::XDP_ADJUST_TAIL, args, None))),
    },
    Builtin {
        name: "vlan_push",
        aliases: &[],
        signature: "vlan_push(id: int) -> int64",
        is_unsafe: false,
        doc: "puts a VLAN tag (802.1Q) on the packet; 0, or a negative error (xdp, tc)",
        example: "tc:lo:egress /udp.dport == 9/ { vlan_push(7); }",
        check: Check::Custom(|c, call| adjust(c, call, &[Layer::Xdp, Layer::Link])),
        lower: Lower::Code(|b, _, args, _| Operand::Scalar(b.vlan_push(&args[0]))),
    },
    Builtin {
        name: "vlan_pop",
        aliases: &[],
        signature: "vlan_pop() -> int64",
        is_unsafe: false,
        doc: "takes the packet's outermost VLAN tag off; 0, or a negative error (xdp, tc)",
        example: "tc:lo:ingress { vlan_pop(); }",
        check: Check::Custom(|c, call| adjust(c, call, &[Layer::Xdp, Layer::Link])),
        lower: Lower::Code(|b, _, _, _| Operand::Scalar(b.vlan_pop())),
    },
    Builtin {
        name: "ipip_push",
        aliases: &[],
        signature: "ipip_push(saddr: ipv4, daddr: ipv4) -> int64",
        is_unsafe: false,
        doc: "puts the IPv4 packet into another one between these addresses; 0, or a negative error (xdp, tc)",
        example: "xdp:lo /udp.dport == 9/ { ipip_push(10.0.0.1, 10.0.0.2); }",
        check: Check::Custom(|c, call| adjust(c, call, &[Layer::Xdp, Layer::Link])),
        lower: Lower::Code(|b, _, args, _| Operand::Scalar(b.ipip_push(&args[0], &args[1]))),
    },
    Builtin {
        name: "ipip_pop",
        aliases: &[],
        signature: "ipip_pop() -> int64",
        is_unsafe: false,
        doc: "takes the IPv4 packet out of the one around it; 0, or a negative error (-22: it is in none; xdp, tc)",
        example: "xdp:lo /ip.protocol == 4/ { ipip_pop(); }",
        check: Check::Custom(|c, call| adjust(c, call, &[Layer::Xdp, Layer::Link])),
        lower: Lower::Code(|b, _, _, _| Operand::Scalar(b.ipip_pop())),
    },
];

/// A part of the DNS question.
fn question(c: &mut Checker, call: &Call, ty: Ty) -> Expr {
    if c.checked_args(call).is_none() {
        return Expr::error(call.span);
    }
    let Some(row) = super::find("dns") else { return Expr::error(call.span) };
    let header = c.header(&Call { row, ..*call });
    if header.is_error() {
        return header;
    }
    Expr::new(ExprKind::Call { builtin: call.row, args: vec![header] }, ty, call.span)
}

fn whole(c: &mut Checker, call: &Call) -> Expr {
    if c.layer().is_none() {
        let d = Diagnostic::error("no-packet", call.span, "this probe has no packet")
            .label("nothing to read here")
            .help(format!("for instance: {}", call.row.example));
        return c.fail(d);
    }
    let len = Expr::new(ExprKind::Call { builtin: call.row, args: Vec::new() }, Ty::U64, call.span);
    Expr::new(ExprKind::Tuple(vec![len]), Ty::NamedTuple([("len".to_string(), Ty::U64)].into()), call.span)
}

/// Functions that change the packet's size, for the probes that may.
fn adjust(c: &mut Checker, call: &Call, layers: &[Layer]) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    if !c.layer().is_some_and(|l| layers.contains(&l)) {
        let d = Diagnostic::error("no-packet", call.span, format!("`{}` can't be called in this probe", call.row.name))
            .label("this probe can't change a packet's size so")
            .help(format!("for instance: {}", call.row.example));
        return c.fail(d);
    }
    c.acts();
    let args = args.into_iter().map(|a| if a.ty.is_int() { c.to_int64(a) } else { a }).collect();
    Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::I64, call.span)
}

fn mirror(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    if c.layer() != Some(Layer::Link) {
        let d = Diagnostic::error("no-packet", call.span, "`mirror` can't be called in this probe")
            .label("only `tc` probes send copies of packets")
            .help(format!("for instance: {}", call.row.example));
        return c.fail(d);
    }
    let Some(name) = args[0].as_str().map(|s| String::from_utf8_lossy(s).into_owned()) else {
        let d = Diagnostic::error("not-constant", args[0].span, "the interface is known before the script runs")
            .label("expected its name in quotes")
            .help(format!("for instance: {}", call.row.example));
        return c.fail(d);
    };
    let to = c.interface(&name, args[0].span);
    if to.is_error() {
        return to;
    }
    c.acts();
    Expr::new(ExprKind::Call { builtin: call.row, args: vec![to] }, Ty::I64, call.span)
}

fn buffer(c: &mut Checker, call: &Call) -> Expr {
    match (c.layer(), c.types.packet_record("skb")) {
        (Some(Layer::Link | Layer::Network | Layer::Socket), Some(r)) => {
            Expr::new(ExprKind::Ctx, Ty::ptr(Ty::Record(r), Space::Ctx), call.span)
        }
        _ => {
            let d = Diagnostic::error("no-skb", call.span, "this probe has no `skb`")
                .label("expected in `tc`, `cgroup_skb` and `socket` probes")
                .help(format!("for instance: {}", call.row.example));
            c.fail(d)
        }
    }
}
