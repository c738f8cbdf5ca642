//! Several interfaces in one probe, what `-l` tells of places for packets, and what sits there already.

use crate::net::{Net, run};

const PING: &str = "ping -q -c 2 -i 0.2 -W 1 10.9.0.1";

fn listed(net: &Net, args: &[&str]) -> Vec<String> {
    crate::common::text(&net.awl(args).stdout).lines().map(str::to_owned).collect()
}

#[test]
fn one_probe_has_several_interfaces() {
    let Some(net) = Net::new() else { return };
    for point in ["xdp:near,lo", "tc:lo,near:ingress", "socket:lo,near", "xdp:near,lo:generic", "xdp:*", "tc:n*,l*:ingress"] {
        let awl = net.start(&["-e", &format!("{point} /icmp.type == 8/ {{ @[probe] = count(); }}")]);
        assert!(net.far(PING).status.success());
        run("ip", &["netns", "exec", &net.here, "ping", "-q", "-c", "1", "127.0.0.1"]);
        let (out, err) = awl.stop();
        assert_eq!(out.lines().filter(|l| l.contains("near") || l.contains("lo")).count(), 2, "{point}: {out}{err}");
        assert!(out.lines().any(|l| l.contains("near") && l.ends_with(": 2")), "{point}: {out}{err}");
    }
    for (point, said) in [
        ("xdp:near,nowhere", "no network interface `nowhere`"),
        ("xdp:no*", "no network interface matches `no*`"),
        ("xdp:near,near", "takes one XDP program"),
        ("xdp:near:offload", "has no processor"),
        ("tc:near,lo", "is written `tc:INTERFACE:ingress|egress`"),
    ] {
        let out = net.awl(&["-e", &format!("{point} {{ @ = count(); }}")]);
        let err = crate::common::text(&out.stderr);
        assert!(!out.status.success() && err.contains(said), "{point}: {err}");
    }
}

#[test]
fn places_for_packets_are_listed() {
    let Some(net) = Net::new() else { return };
    assert_eq!(listed(&net, &["-l", "xdp:n*"]), ["xdp:near"]);
    assert_eq!(listed(&net, &["-l", "tc:near:*"]), ["tc:near:ingress", "tc:near:egress"]);
    let shown = listed(&net, &["-lv", "tc:near:egress"]);
    assert!(shown.iter().any(|l| l == "    dns") && shown.iter().any(|l| l == "    skb"), "{shown:?}");
    let Some(cgroup) = crate::cgroup::Cgroup::new() else { return };
    let path = &cgroup.path;
    let text = |args: &[&str]| crate::common::text(&crate::common::awl(args).stdout);
    let all = text(&["-l", "cgroup_*"]);
    for place in ["cgroup_skb:PATH:egress", "cgroup_connect4:PATH", "cgroup_sendmsg6:PATH"] {
        assert!(all.lines().any(|l| l == place.replace("PATH", path)), "{place}: {all}");
    }
    let shown = text(&["-lv", &format!("cgroup_bind6:{path}")]);
    assert!(shown.contains("    ipv6 user_ip6\n    uint16 user_port\n"), "{shown}");
    let shown = text(&["-lv", &format!("sockops:{path}")]);
    assert!(shown.contains("    uint32[4] args\n"), "{shown}");
    let functions = text(&["-lv", "fmod_ret:security_file_open"]);
    assert!(functions.is_empty() || functions.contains("struct file *file"), "{functions}");
}

#[test]
fn a_killed_awl_leaves_nothing_attached() {
    let Some(net) = Net::new() else { return };
    let awl = net.start(&["--enforce", "-e", "xdp:near /icmp/ { return DROP; } tc:near:egress /icmp/ { return DROP; }"]);
    assert!(!net.far(PING).status.success());
    awl.kill();
    assert!(net.far(PING).status.success(), "the programs outlived it");
}

/// A filter of another tool goes on where it is, and decides what awl's program leaves open.
#[test]
fn filters_of_others_stay() {
    let Some(net) = Net::new() else { return };
    let tc = |args: &str| run("tc", &[&["-n", &net.here], args.split(' ').collect::<Vec<_>>().as_slice()].concat());
    if !tc("qdisc add dev near clsact").status.success()
        || !tc("filter add dev near ingress protocol ip prio 7 u32 match ip protocol 1 0xff action drop").status.success()
    {
        println!("skipped: this kernel has no clsact, or no u32 filters");
        return;
    }
    let show = || crate::common::text(&tc("filter show dev near ingress").stdout);
    let before = show();
    assert!(!net.far(PING).status.success());
    let awl = net.start(&["--enforce", "-e", "tc:near:ingress /icmp/ { @ = count(); }"]);
    assert!(!net.far(PING).status.success(), "the other filter is gone");
    assert!(show().contains(before.trim_end()));
    assert_eq!(awl.stop().0.trim(), "@: 2");
    assert_eq!(show(), before);
}
