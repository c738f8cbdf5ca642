//! Two network namespaces with a pair of interfaces between them: `near` (10.9.0.1, fd00:9::1) in one, `far` (10.9.0.2,
//! fd00:9::2) in the other. awl runs in the first.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

pub struct Net {
    pub here: String,
    pub there: String,
}

pub fn run(command: &str, args: &[&str]) -> Output {
    match Command::new(command).args(args).stdin(Stdio::null()).output() {
        Ok(o) => o,
        Err(e) => panic!("{command} can't be started: {e}"),
    }
}

fn ip(args: &str) {
    let out = run("ip", &args.split(' ').collect::<Vec<_>>());
    assert!(out.status.success(), "ip {args}: {}", crate::common::text(&out.stderr));
}

impl Net {
    /// `None`, and a word, where the tools are missing or we may not.
    pub fn new() -> Option<Net> {
        if !crate::common::may_load() {
            return None;
        }
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let n = format!("awl{}x{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        if Command::new("ping").arg("-V").output().is_err() || Command::new("ip").arg("-V").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "CI runs these tests");
            println!("skipped: needs iproute2 and iputils-ping");
            return None;
        }
        let net = Net { here: format!("{n}a"), there: format!("{n}b") };
        ip(&format!("netns add {}", net.here));
        ip(&format!("netns add {}", net.there));
        ip(&format!("-n {} link add name near type veth peer name far netns {}", net.here, net.there));
        for (space, name, last) in [(&net.here, "near", 1), (&net.there, "far", 2)] {
            ip(&format!("-n {space} addr add 10.9.0.{last}/24 dev {name}"));
            ip(&format!("-n {space} addr add fd00:9::{last}/64 dev {name} nodad"));
            ip(&format!("-n {space} link set dev {name} up"));
            ip(&format!("-n {space} link set dev lo up"));
        }
        Some(net)
    }

    /// Takes the pair of interfaces away.
    pub fn remove(&self) {
        ip(&format!("-n {} link del near", self.here));
    }

    /// A command in the other namespace.
    pub fn far(&self, command: &str) -> Output {
        let words: Vec<&str> = command.split(' ').collect();
        run("ip", &[&["netns", "exec", &self.there], words.as_slice()].concat())
    }

    /// awl's own, to its end.
    pub fn awl(&self, args: &[&str]) -> Output {
        run("ip", &[&["netns", "exec", &self.here, env!("CARGO_BIN_EXE_awl")], args].concat())
    }

    /// The same from a shell's command line that begins with `awl`.
    pub fn start_line(&self, line: &str) -> Running {
        let line = line.replacen("awl", concat!("exec ", env!("CARGO_BIN_EXE_awl")), 1).replace("veth0", "near");
        start(Command::new("ip").args(["netns", "exec", &self.here, "sh", "-c", &line]))
    }

    /// Starts awl and waits until it is attached.
    pub fn start(&self, args: &[&str]) -> Running {
        start_in(&self.here, args)
    }
}

/// The same in a network namespace.
pub fn start_in(space: &str, args: &[&str]) -> Running {
    start(Command::new("ip").args(["netns", "exec", space, env!("CARGO_BIN_EXE_awl")]).args(args))
}

/// The same in the namespace of the test, which sees the cgroups.
pub fn start_here(args: &[&str]) -> Running {
    start(Command::new(env!("CARGO_BIN_EXE_awl")).args(args))
}

fn start(command: &mut Command) -> Running {
    let mut child =
        command.env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be started");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("readable");
    assert!(line.starts_with("Attached"), "{line}{}", rest(child));
    Running { child, out }
}

fn rest(mut child: Child) -> String {
    let _ = child.kill();
    let mut text = String::new();
    if let Some(mut e) = child.stderr.take() {
        let _ = e.read_to_string(&mut text);
    }
    text
}

impl Drop for Net {
    fn drop(&mut self) {
        for n in [&self.here, &self.there] {
            run("ip", &["netns", "del", n]);
        }
    }
}

/// awl while it runs.
pub struct Running {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Running {
    /// Ends it as Ctrl-C does; what it printed, and what it said on standard error.
    pub fn stop(self) -> (String, String) {
        self.send("INT");
        self.wait()
    }

    /// Ends it as nobody would wish.
    pub fn kill(self) {
        self.send("KILL");
        self.wait();
    }

    /// A signal that it takes for an order, and the time to follow it.
    pub fn signal(&self, name: &str) {
        self.send(name);
        std::thread::sleep(std::time::Duration::from_millis(300));
    }

    fn send(&self, name: &str) {
        run("kill", &[&format!("-{name}"), &self.child.id().to_string()]);
    }

    /// Waits until it ends.
    pub fn wait(mut self) -> (String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).expect("text");
        self.child.stderr.take().expect("piped").read_to_string(&mut err).expect("text");
        self.child.wait().expect("it ends");
        (out, err)
    }
}
