//! `xdp:INTERFACE[:MODE]`: packets before the network stack sees them.

use super::{Expanded, Process, Provider, Request};
use crate::artifact::{AttachTo, ProgramKind, XdpMode};
use crate::diagnostic::{Diagnostic, nearest};
use crate::hir::Context;
use crate::packet::Layer;

pub const ROWS: &[Provider] = &[Provider {
    name: "xdp",
    aliases: &[],
    syntax: "xdp:INTERFACE[:native|generic|offload]",
    doc: "packets that an interface receives, before the network stack sees them; verdicts `PASS DROP TX ABORTED`",
    example: "xdp:lo /ip.saddr == 10.0.0.0/8/ { @[ip.saddr] = count(); return DROP; }",
    process: Process::Any,
    absent: Some((ProgramKind::Xdp, Context::Packet(Layer::Xdp))),
    expand,
}];

const MODES: &[(&str, XdpMode)] = &[("native", XdpMode::Native), ("generic", XdpMode::Generic), ("offload", XdpMode::Offload)];

fn expand(r: &Request) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let rest = r.rest(1, 2)?;
    let (mode, suffix) = match rest.get(1) {
        None => (XdpMode::Any, String::new()),
        Some(p) => match MODES.iter().find(|(n, _)| *n == p.text) {
            Some((_, m)) => (*m, format!(":{}", p.text)),
            None => {
                let d = Diagnostic::error("probe-syntax", p.span, format!("unknown mode `{}`", p.text));
                return Err(Box::new(match nearest(&p.text, MODES.iter().map(|m| m.0)) {
                    Some(n) => d.label(format!("did you mean `{n}`?")),
                    None => d.label("expected `native`, `generic` or `offload`"),
                }));
            }
        },
    };
    let points = super::interfaces(r, &rest[0])?.into_iter().map(|interface| {
        let name = format!("xdp:{}{suffix}", interface.name);
        (name, AttachTo::Xdp { interface, mode })
    });
    Ok(super::interface::programs(r, ProgramKind::Xdp, Context::Packet(Layer::Xdp), points.collect()))
}
