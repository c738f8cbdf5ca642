//! XDP on a pair of interfaces.

use crate::net::{Net, run};

const PING: &str = "ping -c 3 -i 0.2 -W 1 10.9.0.1";

/// TCP's flags are a number, too.
#[test]
fn flags_are_a_number() {
    let script =
        "xdp:lo /tcp/ { @all = (uint8)tcp.flags; @syn_ack = tcp.flags & 0x12; @is = tcp.flags == 0x12 ? 1 : 0; @one = tcp.flags.syn; }";
    let Some(bench) = crate::bench::Bench::new(script) else { return };
    let mut packet = Vec::new();
    let builder = etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
    builder.tcp(1000, 80, 1, 1000).syn().ack(5).write(&mut packet, &[]).expect("fits");
    bench.run(&packet).expect("it runs");
    assert_eq!(["all", "syn_ack", "is", "one"].map(|name| bench.number(name)), [0x12, 0x12, 1, 1]);
}

#[test]
fn a_ping_is_dropped_and_counted() {
    let Some(net) = Net::new() else { return };
    let script = "xdp:near /ip.saddr == 10.9.0.2 && icmp/ { @[ip.saddr] = count(); return DROP; }";
    let awl = net.start(&["--enforce", "-e", script]);
    assert!(!net.far(PING).status.success(), "it went through");
    let (out, err) = awl.stop();
    assert_eq!(out.trim(), "@[10.9.0.2]: 3", "{err}");
    assert!(net.far(PING).status.success(), "the program outlived awl");
}

#[test]
fn without_enforce_verdicts_are_counted_only() {
    let Some(net) = Net::new() else { return };
    let script = "xdp:near { if (ip.saddr == 10.9.0.0/24 && icmp.type == 8) { return DROP; } @others = count(); }";
    let awl = net.start(&["-e", script]);
    let there = crate::common::text(&crate::common::awl(&["ps"]).stdout);
    assert!(there.lines().any(|l| l.starts_with("- ") && l.contains(" xdp_1 ")), "{there}");
    assert!(net.far(PING).status.success(), "something was dropped");
    let (_, err) = awl.stop();
    assert!(err.contains("xdp:near: would drop 3 of "), "{err}");
}

/// Where nothing came of it, the verbs are those of the script.
#[test]
fn what_a_script_would_have_done() {
    let Some(net) = Net::new() else { return };
    let all = [
        ("xdp:near /udp/ { return redirect(\"lo\"); }", "would redirect 0 of "),
        ("xdp:near /udp/ { return ip.ttl == 1 ? DROP : TX; }", "would drop 0, send back 0 of "),
        ("xdp:near /udp/ { if (ip.ttl == 1) { return ABORTED; } return PASS; }", "would abort 0 of "),
        ("xdp:near /icmp.seq == 1/ { ip.ttl = 3; }", "would make 1 change in "),
        ("xdp:near /udp/ { ip.ttl = 3; }", "would make 0 changes in "),
        ("xdp:near /udp/ { vlan_push(7); }", "would make 0 changes in "),
        ("xdp:near /icmp/ { ip.ttl = 3; return TX; }", "would send back 3 of "),
        ("tc:near:ingress /udp/ { return redirect(\"lo\"); }", "would redirect 0 of "),
        ("tc:near:ingress /icmp/ { skb.mark = 3; }", "would make 3 changes in "),
    ];
    for (script, said) in all {
        let awl = net.start(&["-e", script]);
        assert!(net.far(PING).status.success());
        let (_, err) = awl.stop();
        assert!(err.contains(said), "{script}: {err}");
        assert_eq!(err.contains(" and make 3 changes"), script.contains("TX; }") && script.contains("icmp"), "{err}");
    }
}

#[test]
fn what_is_attached_is_named_and_stays() {
    let Some(net) = Net::new() else { return };
    let first = net.start(&["--enforce", "-e", "xdp:near /icmp/ { return DROP; }"]);
    let second = net.awl(&["-e", "xdp:near { @ = count(); }"]);
    let said = crate::common::text(&second.stderr);
    assert!(!second.status.success() && said.contains("has the program `xdp_1`"), "{said}");
    assert!(!net.far(PING).status.success(), "it was replaced");
    drop(first.stop());
    let gone = net.awl(&["-e", "xdp:neat { @ = count(); }"]);
    let said = crate::common::text(&gone.stderr);
    assert!(said.contains("did you mean `near`?"), "{said}");
    let list = net.awl(&["-l", "tc"]);
    assert_eq!(crate::common::text(&list.stdout).lines().filter(|l| l.starts_with("tc:near:")).count(), 2);
}

#[test]
fn an_interface_that_vanishes_ends_its_probe() {
    let Some(net) = Net::new() else { return };
    // Alone, awl ends by itself.
    let awl =
        net.start(&["-e", "xdp:near { @x = count(); } tc:near:ingress { @t = count(); } socket:near { @s = count(); } end { @end = 1; }"]);
    net.remove();
    let (out, err) = awl.wait();
    assert!(out.contains("@end: 1"), "{out}{err}");
    for place in ["xdp:near", "tc:near:ingress", "socket:near"] {
        assert!(err.contains(&format!("warning[interface-gone]: {place} ended: the interface is gone")), "{err}");
    }
    // Others go on.
    let Some(net) = Net::new() else { return };
    let awl = net.start(&["-e", "xdp:near { @x = count(); } xdp:lo { @lo = count(); }"]);
    net.remove();
    std::thread::sleep(std::time::Duration::from_millis(300));
    run("ip", &["netns", "exec", &net.here, "ping", "-q", "-c", "1", "127.0.0.1"]);
    let (out, err) = awl.stop();
    assert!(out.contains("@lo: 2") && err.contains("interface-gone"), "{out}{err}");
}
