//! Packets: their headers, and what is known of a whole one.

use super::{Builtin, Check, Lower};
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, ExprKind};
use crate::lower::body::Operand;
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
    header!("vlan", Vlan, "its first VLAN tag: `id dei pcp type`", "xdp:lo { @[vlan.id] = count(); }"),
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
];

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
