//! Programs of a cgroup: packets and calls of the processes in it.

use super::{Expanded, Process, Provider, Request};
use crate::artifact::{AttachTo, CgroupHook, ProgramKind};
use crate::diagnostic::Diagnostic;
use crate::hir::Context;
use crate::packet::Layer;

macro_rules! calls {
    ($name:literal, $hook:ident, $doc:literal) => {
        Provider {
            name: $name,
            aliases: &[],
            syntax: concat!($name, ":CGROUP"),
            doc: concat!($doc, " by processes of a cgroup; verdicts `ALLOW DENY`"),
            example: concat!($name, ":/sys/fs/cgroup { @[args.user_port] = count(); }"),
            process: Process::Any,
            absent: None,
            expand: |r| record(r, CgroupHook::$hook, "sock_addr"),
        }
    };
}

pub const ROWS: &[Provider] = &[
    Provider {
        name: "cgroup_skb",
        aliases: &[],
        syntax: "cgroup_skb:CGROUP:ingress|egress",
        doc: "packets for or from the processes of a cgroup, from the IP header on; verdicts `ALLOW DENY`",
        example: "cgroup_skb:/sys/fs/cgroup:egress { @[ip.daddr] = count(); }",
        process: Process::Any,
        absent: None,
        expand: packets,
    },
    calls!("cgroup_connect4", Connect4, "connect(2) to an IPv4 address"),
    calls!("cgroup_connect6", Connect6, "connect(2) to an IPv6 address"),
    calls!("cgroup_bind4", Bind4, "bind(2) to an IPv4 address"),
    calls!("cgroup_bind6", Bind6, "bind(2) to an IPv6 address"),
    calls!("cgroup_sendmsg4", Sendmsg4, "sendmsg(2) of UDP to an IPv4 address"),
    calls!("cgroup_sendmsg6", Sendmsg6, "sendmsg(2) of UDP to an IPv6 address"),
    Provider {
        name: "sockops",
        aliases: &[],
        syntax: "sockops:CGROUP",
        doc: "events of the TCP connections of a cgroup's processes (`args.op`)",
        example: "sockops:/sys/fs/cgroup { @[args.op] = count(); }",
        process: Process::Any,
        absent: None,
        expand: |r| record(r, CgroupHook::SockOps, "sock_ops"),
    },
];

fn expanded(r: &Request, path: &str, hook: CgroupHook, context: Context, suffix: &str) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    // It must be there: asked for its number, which is of no use here.
    r.target.cgroup_id(path).map_err(|why| r.unavailable(why))?;
    let name = format!("{}:{path}{suffix}", r.provider.name);
    let to = AttachTo::Cgroup { path: path.to_string(), hook };
    Ok(vec![Expanded { kind: ProgramKind::Cgroup(hook), context, points: vec![(name, Some(to))] }])
}

fn packets(r: &Request) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let rest = r.rest(2, 2)?;
    let egress = super::tc::direction(&rest[1])?;
    let hook = if egress { CgroupHook::Egress } else { CgroupHook::Ingress };
    expanded(r, &rest[0].text, hook, Context::Packet(Layer::Network), &format!(":{}", rest[1].text))
}

fn record(r: &Request, hook: CgroupHook, name: &str) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let rest = r.rest(1, 1)?;
    let Some(record) = crate::ctypes::packet_types(r.target).record(&format!("struct {name}")).cloned() else {
        return Err(Box::new(Diagnostic::internal("packet", format!("the library has no `struct {name}`"))));
    };
    expanded(r, &rest[0].text, hook, Context::Record(record), "")
}
