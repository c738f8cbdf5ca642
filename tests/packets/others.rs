//! What other tools have attached stays as it is: awl says what is there, and attaches nothing.

use crate::net::{Net, run};
use crate::pin::shell;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Attaches a program called `theirs` that drops everything: `KIND INTERFACE`. Says "ready", or why not, and keeps it until it is ended.
const THEIRS: &str = r#"
import ctypes, os, platform, socket, struct, sys, time
CALL = {"x86_64": 321, "aarch64": 280}[platform.machine()]
# program type, attach type, the verdict that drops
KINDS = {"xdp": (6, 37, 1), "tcx_ingress": (3, 46, 2), "tcx_egress": (3, 47, 2)}
libc = ctypes.CDLL(None, use_errno=True)
def bpf(command, attributes):
    data = ctypes.create_string_buffer(attributes, 128)
    fd = libc.syscall(CALL, command, data, len(data))
    if fd < 0:
        print(os.strerror(ctypes.get_errno()), flush=True)
        sys.exit()
    return fd
kind, attach, verdict = KINDS[sys.argv[1]]
# r0 = verdict; exit
code = ctypes.create_string_buffer(struct.pack("=BBhiBBhi", 0xb7, 0, 0, verdict, 0x95, 0, 0, 0))
license = ctypes.create_string_buffer(b"GPL")
load = struct.pack("=IIQQIIQII16sII", kind, 2, ctypes.addressof(code), ctypes.addressof(license), 0, 0, 0, 0, 0, b"theirs", 0, attach)
program = bpf(5, load)
link = bpf(28, struct.pack("=IIII", program, socket.if_nametoindex(sys.argv[2]), attach, 0))
print("ready", flush=True)
time.sleep(60)
"#;

/// Another tool's program, until it is dropped.
struct Theirs(Child);

impl Theirs {
    /// `None`, and a word, where there is no Python or the kernel has no such links.
    fn attach(net: &Net, kind: &str) -> Option<Theirs> {
        let python = ["netns", "exec", &net.here, "python3", "-c", THEIRS, kind, "near"];
        let started = Command::new("ip").args(python).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let Ok(mut child) = started else { return None };
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
        let them = Theirs(child);
        if line == "ready\n" {
            return Some(them);
        }
        // tcx is of Linux 6.6.
        println!("skipped: {kind} by Python: {}", line.trim());
        None
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// None of them arrives where theirs is.
const PING: &str = "ping -q -c 2 -i 0.2 -W 1 10.9.0.1";

fn stays(kind: &str, probe: &str) {
    let Some(net) = Net::new() else { return };
    let ours = net.start(&["-e", "tc:near:ingress { @ = count(); } tc:near:egress { @out = count(); }"]);
    let Some(theirs) = Theirs::attach(&net, kind) else { return drop(ours.stop()) };
    ours.stop();
    assert!(!net.far(PING).status.success());
    // Neither alone nor with others, neither watched nor enforced.
    for script in [format!("{probe} {{ return PASS; }}"), format!("tc:lo:ingress {{ @a = count(); }} {probe} {{ @b = count(); }}")] {
        for flags in [&["--enforce", "-e"][..], &["-e"]] {
            let done = net.awl(&[flags, &[&script]].concat());
            let said = crate::common::text(&done.stderr);
            assert!(!done.status.success() && said.contains("error[attach]"), "{script}: {said}");
            assert!(said.contains("has the program `theirs` (id ") && said.contains("awl replaces nothing"), "{script}: {said}");
            assert!(said.contains("bpftool net"), "{said}");
            assert_eq!(crate::common::text(&done.stdout), "", "it attached something");
        }
    }
    let script =
        format!("here $AWL run --pin beside -e '{probe} {{ return PASS; }}' 2>&1 | head -1; $AWL ps | tail -n +2 | grep -c beside");
    let (said, err) = shell(Some(&net), &script);
    assert!(said.contains("`theirs`") && said.ends_with("\n0\n"), "{said}{err}");
    assert!(!net.far(PING).status.success(), "theirs was replaced");
    drop(theirs);
    // Not at once: the neighbours have lost sight of one another.
    assert!(net.far("ping -q -c 8 -i 0.3 -W 1 10.9.0.1").status.success(), "something stayed");
    net.start(&["-e", &format!("{probe} {{ @ = count(); }}")]).stop();
}

#[test]
fn the_chain_of_another_tool_at_the_entrance() {
    stays("tcx_ingress", "tc:near:ingress");
}

#[test]
fn the_chain_of_another_tool_at_the_exit() {
    stays("tcx_egress", "tc:near:egress");
}

#[test]
fn the_xdp_program_of_another_tool() {
    stays("xdp", "xdp:near");
}

/// Ours stand in one chain, whatever they are made of.
#[test]
fn two_of_ours_at_one_place() {
    let Some(net) = Net::new() else { return };
    let first = net.start(&["--enforce", "-e", "tc:near:ingress /icmp.seq == 1/ { return DROP; }"]);
    let second = net.start(&["--enforce", "-e", "tc:near:ingress /icmp.seq == 2/ { return DROP; }"]);
    let ping = net.far("ping -c 3 -i 0.2 -W 1 10.9.0.1");
    let said = crate::common::text(&ping.stdout);
    assert!(said.contains(" 1 received") && said.contains("icmp_seq=3"), "{said}");
    drop((first.stop(), second.stop()));
    let all = run("ip", &["-n", &net.here, "-d", "link", "show", "near"]);
    assert!(!crate::common::text(&all.stdout).contains("prog/"), "{}", crate::common::text(&all.stdout));
}
