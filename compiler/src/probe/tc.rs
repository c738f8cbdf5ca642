//! `tc:INTERFACE:ingress|egress` and `socket:INTERFACE`: packets as the network stack has them.

use super::{Expanded, Process, Provider, Request};
use crate::artifact::{AttachTo, ProgramKind};
use crate::diagnostic::{Diagnostic, nearest};
use crate::hir::Context;
use crate::packet::Layer;
use awl_grammar::ast::ProbePart;

pub const ROWS: &[Provider] = &[
    Provider {
        name: "tc",
        aliases: &[],
        syntax: "tc:INTERFACE:ingress|egress",
        doc: "packets that an interface receives or sends, with what the stack knows of them (`skb.NAME`); verdicts `PASS DROP`",
        example: "tc:lo:egress { @[skb.mark] = count(); }",
        process: Process::Any,
        absent: Some((ProgramKind::Tc, Context::Packet(Layer::Link))),
        expand: tc,
    },
    Provider {
        name: "socket",
        aliases: &[],
        syntax: "socket:INTERFACE",
        doc: "copies of the packets that an interface receives and sends: watches only",
        example: "socket:lo { @[ip.daddr] = count(); }",
        process: Process::Any,
        absent: Some((ProgramKind::SocketFilter, Context::Packet(Layer::Socket))),
        expand: socket,
    },
];

/// `ingress` is false, `egress` true.
pub(super) fn direction(part: &ProbePart) -> Result<bool, Box<Diagnostic>> {
    match part.text.as_str() {
        "ingress" => Ok(false),
        "egress" => Ok(true),
        other => {
            let d = Diagnostic::error("probe-syntax", part.span, format!("`{other}` is no direction"));
            Err(Box::new(match nearest(other, ["ingress", "egress"]) {
                Some(n) => d.label(format!("did you mean `{n}`?")),
                None => d.label("expected `ingress` (received) or `egress` (sent)"),
            }))
        }
    }
}

fn tc(r: &Request) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let rest = r.rest(2, 2)?;
    let egress = direction(&rest[1])?;
    let points = super::interfaces(r, &rest[0])?.into_iter().map(|interface| {
        let name = format!("tc:{}:{}", interface.name, rest[1].text);
        (name, AttachTo::Tc { interface, egress })
    });
    Ok(super::interface::programs(r, ProgramKind::Tc, Context::Packet(Layer::Link), points.collect()))
}

fn socket(r: &Request) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let rest = r.rest(1, 1)?;
    let points =
        super::interfaces(r, &rest[0])?.into_iter().map(|interface| (format!("socket:{}", interface.name), AttachTo::Socket { interface }));
    Ok(super::interface::programs(r, ProgramKind::SocketFilter, Context::Packet(Layer::Socket), points.collect()))
}
