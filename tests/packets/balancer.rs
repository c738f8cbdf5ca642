//! The load balancer between a client and two backends, each in a network namespace of its own, on one switch.

use crate::net::{Net, Running, run, start_in};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Says who it is, once for each byte that it is sent, on any number of connections.
const SERVER: &str = r#"
import selectors, socket, sys
sel = selectors.DefaultSelector()
listener = socket.create_server((sys.argv[1], 80))
sel.register(listener, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in sel.select():
        if key.fileobj is listener:
            sel.register(listener.accept()[0], selectors.EVENT_READ)
        else:
            try: data = key.fileobj.recv(1)
            except OSError: data = b""
            if data: key.fileobj.sendall(sys.argv[2].encode())
            else: sel.unregister(key.fileobj)
"#;

/// `open`: twenty new connections; `again`: all there are. Prints who answers on each.
const CLIENT: &str = r#"
import socket, sys
all = []
def ask(s):
    s.sendall(b"?")
    return s.recv(1).decode()
for line in sys.stdin:
    new = [socket.create_connection(("10.9.0.100", 80), 5) for _ in range(20)] if line == "open\n" else []
    asked = new or all
    print("".join(ask(s) for s in asked), flush=True)
    all += new
"#;

/// Checksums that the sender leaves to the card are not there for XDP on a pair of interfaces (ETHTOOL_STXCSUM).
const WHOLE: &str = r#"
import array, fcntl, socket, struct
value = array.array("I", [0x17, 0])
fcntl.ioctl(socket.socket(), 0x8946, struct.pack("16sP", b"eth", value.buffer_info()[0]))
"#;

struct Switch {
    name: String,
}

impl Switch {
    fn ip(args: &str) {
        let done = run("ip", &args.split(' ').collect::<Vec<_>>());
        assert!(done.status.success(), "ip {args}: {}", crate::common::text(&done.stderr));
    }

    fn space(&self, n: usize) -> String {
        format!("{}{n}", self.name)
    }

    /// The client 10.9.0.2, the balancer .100, the backends .11 and .12.
    fn new() -> Option<Switch> {
        // It says what is missing.
        let probe = Net::new()?;
        if Command::new("python3").arg("-V").output().is_err() {
            println!("skipped: needs python3");
            return None;
        }
        let s = Switch { name: format!("{}s", probe.here) };
        Self::ip(&format!("netns add {}", s.name));
        Self::ip(&format!("-n {} link add name sw type bridge", s.name));
        Self::ip(&format!("-n {} link set sw up", s.name));
        for (n, last) in [2, 100, 11, 12].into_iter().enumerate() {
            let space = s.space(n);
            Self::ip(&format!("netns add {space}"));
            Self::ip(&format!("-n {} link add name p{n} type veth peer name eth netns {space}", s.name));
            Self::ip(&format!("-n {space} link set eth address 02:00:00:00:00:{:02} up", last % 100));
            Self::ip(&format!("-n {space} addr add 10.9.0.{last}/24 dev eth"));
            Self::ip(&format!("-n {} link set p{n} master sw up", s.name));
            let done = run("ip", &["netns", "exec", &space, "python3", "-c", WHOLE]);
            assert!(done.status.success(), "{}", crate::common::text(&done.stderr));
        }
        for n in [2, 3] {
            Self::ip(&format!("-n {} route add 10.9.0.2/32 via 10.9.0.100", s.space(n)));
        }
        Some(s)
    }

    fn python(&self, n: usize, args: &[&str]) -> Talk {
        let mut child = Command::new("ip")
            .args(["netns", "exec", &self.space(n), "python3", "-c"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let (to, from) = (child.stdin.take().expect("piped"), BufReader::new(child.stdout.take().expect("piped")));
        Talk { child, to, from }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        for n in 0..4 {
            run("ip", &["netns", "del", &self.space(n)]);
        }
        run("ip", &["netns", "del", &self.name]);
    }
}

/// A process that answers lines by lines.
struct Talk {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Talk {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("readable");
        line.trim_end().to_owned()
    }

    fn ask(&mut self, what: &str) -> String {
        writeln!(self.to, "{what}").expect("it listens");
        self.line()
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn connections_are_spread_and_stay() {
    let Some(switch) = Switch::new() else { return };
    let mut servers = [switch.python(2, &[SERVER, "10.9.0.11", "1"]), switch.python(3, &[SERVER, "10.9.0.12", "2"])];
    for s in &mut servers {
        assert_eq!(s.line(), "ready");
    }
    // The other end of the balancer's interface takes what it sends back only where it has a program, too.
    let port: Running = start_in(&switch.name, &["-e", "xdp:p1 { @ = count(); }"]);
    let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/net/xdp_load_balancer.bt");
    let params = ["eth", "10.9.0.100", "10.9.0.11", "02:00:00:00:00:11", "10.9.0.12", "02:00:00:00:00:12"];
    let awl = start_in(&switch.space(1), &[&["--enforce", tool][..], &params].concat());

    let mut client = switch.python(0, &[CLIENT]);
    let first = client.ask("open");
    assert!(first.len() == 20 && first.contains('1') && first.contains('2'), "{first}");
    // What is taken out gets no new ones, and keeps those that it has.
    awl.signal("USR1");
    let second = client.ask("open");
    assert_eq!(second, "2".repeat(20));
    assert_eq!(client.ask("again"), format!("{first}{second}"));
    // The same the other way round.
    awl.signal("USR1");
    let third = client.ask("open");
    assert_eq!(third, "1".repeat(20));
    assert_eq!(client.ask("again"), format!("{first}{second}{third}"));
    let (out, err) = awl.stop();
    let count = |n: char| format!("@connections[{n}]: {}\n", [&first, &second, &third].iter().map(|s| s.matches(n).count()).sum::<usize>());
    assert!(out.contains(&count('1')) && out.contains(&count('2')), "{out}{err}");
    drop(port.stop());
}
