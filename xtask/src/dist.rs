//! `cargo xtask dist [--awl PATH] [--out DIR] [--vm]`: what is handed out: a static stripped binary, a tarball and a Debian package of
//! it with manual pages and completions. Then the binary runs in a root that has nothing but /proc and /sys, and with `--vm` in each of the
//! kernels of `cargo xtask vm`.

use crate::vm::{self, Failed};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

pub const USAGE: &str = "cargo xtask dist [--awl PATH] [--out DIR] [--vm]";

/// What the binary does in each kernel: attachments of several kinds, symbols of the kernel and of programs, names of users (which
/// a static C library looks up in its own way), maps and their printing.
const IN_KERNELS: &[&str] = &[
    "kernel/keyed-aggregations",
    "kernel/processes",
    "kernel/uprobe",
    "kernel/syscall",
    "kernel/struct-print",
    "vm/fexit",
    "vm/kprobe-stack",
    "vm/packet-headers",
];

/// A static binary for any distribution with glibc's target; that of the compiler that is at hand.
const TARGET: &str = if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };

pub fn main(args: &[String]) -> ExitCode {
    let (mut awl, mut out, mut in_kernels) = (None, PathBuf::from("target/dist"), false);
    let mut args = args.iter().map(String::as_str);
    while let Some(a) = args.next() {
        match (a, if a == "--vm" { None } else { args.next() }) {
            ("--awl", Some(path)) => awl = Some(PathBuf::from(path)),
            ("--out", Some(dir)) => out = PathBuf::from(dir),
            ("--vm", _) => in_kernels = true,
            _ => {
                eprintln!("usage: {USAGE}");
                return ExitCode::FAILURE;
            }
        }
    }
    match dist(awl, &out, in_kernels) {
        Ok(made) => {
            for path in made {
                let size = fs::metadata(&path).map_or(0, |m| m.len());
                println!("{} {:.1} MB", path.display(), size as f64 / 1e6);
            }
            ExitCode::SUCCESS
        }
        Err(Failed(why)) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn dist(awl: Option<PathBuf>, out: &Path, in_kernels: bool) -> Result<Vec<PathBuf>, Failed> {
    let awl = match awl {
        Some(path) => path,
        None => build()?,
    };
    let version = text(Command::new(&awl).arg("-V"))?;
    let version = version.split_whitespace().last().unwrap_or("0").trim_start_matches('v').to_owned();
    let name = format!("awl-{version}-{}-linux", std::env::consts::ARCH);
    let staged = out.join(&name);
    if staged.exists() {
        fs::remove_dir_all(&staged)?;
    }
    stage(&awl, &staged)?;
    let tarball = out.join(format!("{name}.tar.gz"));
    run(Command::new("tar").arg("-C").arg(out).args(["--owner=0", "--group=0", "--numeric-owner", "-czf"]).arg(&tarball).arg(&name))?;
    let mut made = vec![staged.join("awl"), tarball];
    if Command::new("dpkg-deb").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success()) {
        made.push(package(&staged, out, &version)?);
    } else {
        println!("no Debian package: dpkg-deb is not here");
    }
    alone(&staged.join("awl"))?;
    if in_kernels {
        kernels(&staged.join("awl"))?;
    }
    Ok(made)
}

fn build() -> Result<PathBuf, Failed> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--bin", "awl", "--target", TARGET]).env("RUSTFLAGS", "-C target-feature=+crt-static");
    run(&mut cargo)?;
    Ok(PathBuf::from(format!("target/{TARGET}/release/awl")))
}

/// Everything that is handed out, as it lies in the tarball.
fn stage(awl: &Path, to: &Path) -> Result<(), Failed> {
    for dir in ["man", "completions", "docs/editors", "examples"] {
        fs::create_dir_all(to.join(dir))?;
    }
    let binary = to.join("awl");
    fs::copy(awl, &binary)?;
    let say = |args: &[&str], file: &str| -> Result<(), Failed> { Ok(fs::write(to.join(file), text(Command::new(&binary).args(args))?)?) };
    say(&["man"], "man/awl.1")?;
    let help = text(Command::new(&binary).arg("help"))?;
    let subcommands = help.split("Subcommands:").nth(1).unwrap_or_default();
    for word in subcommands.lines().filter_map(|l| l.strip_prefix("  ")?.split_whitespace().next()) {
        say(&["man", word], &format!("man/awl-{word}.1"))?;
    }
    for (shell, file) in [("bash", "awl.bash"), ("zsh", "_awl"), ("fish", "awl.fish")] {
        say(&["completions", shell], &format!("completions/{file}"))?;
    }
    for file in ["README.md", "LANGUAGE.md", "CHANGELOG.md", "docs/tutorial.md", "docs/cookbook.md", "docs/from-bpftrace.md"] {
        fs::copy(file, to.join(file))?;
    }
    for dir in ["docs/editors", "examples"] {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.path().is_file() {
                fs::copy(entry.path(), to.join(dir).join(entry.file_name()))?;
            }
        }
    }
    Ok(())
}

fn package(staged: &Path, out: &Path, version: &str) -> Result<PathBuf, Failed> {
    let root = out.join("deb");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let copy = |from: &str, to: &str| -> Result<(), Failed> {
        let to = root.join(to);
        fs::create_dir_all(to.parent().unwrap_or(&root))?;
        fs::copy(staged.join(from), to)?;
        Ok(())
    };
    copy("awl", "usr/bin/awl")?;
    for entry in fs::read_dir(staged.join("man"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        copy(&format!("man/{name}"), &format!("usr/share/man/man1/{name}"))?;
        run(Command::new("gzip").args(["-9nf"]).arg(root.join(format!("usr/share/man/man1/{name}"))))?;
    }
    copy("completions/awl.bash", "usr/share/bash-completion/completions/awl")?;
    copy("completions/_awl", "usr/share/zsh/vendor-completions/_awl")?;
    copy("completions/awl.fish", "usr/share/fish/vendor_completions.d/awl.fish")?;
    for doc in ["README.md", "LANGUAGE.md", "CHANGELOG.md", "docs/tutorial.md", "docs/cookbook.md", "docs/from-bpftrace.md"] {
        copy(doc, &format!("usr/share/doc/awl/{doc}"))?;
    }
    for entry in fs::read_dir(staged.join("examples"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        copy(&format!("examples/{name}"), &format!("usr/share/doc/awl/examples/{name}"))?;
    }
    fs::create_dir_all(root.join("DEBIAN"))?;
    let control = format!(
        "Package: awl\nVersion: {version}\nArchitecture: {arch}\nMaintainer: the authors of awl <awl@localhost>\nSection: utils\nPriority: optional\n\
         Description: awk's cousin for the kernel\n A tracing language for Linux that compiles to eBPF, in one static binary.\n"
    );
    fs::write(root.join("DEBIAN/control"), control)?;
    let deb = out.join(format!("awl_{version}_{arch}.deb"));
    run(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&root).arg(&deb).stdout(Stdio::null()))?;
    Ok(deb)
}

/// Runs the binary where there is nothing else, in namespaces of its own so that nothing stays mounted. Only root can.
fn alone(awl: &Path) -> Result<(), Failed> {
    let root = std::env::temp_dir().join(format!("awl-alone-{}", std::process::id()));
    fs::create_dir_all(root.join("proc"))?;
    fs::create_dir_all(root.join("sys"))?;
    fs::copy(awl, root.join("awl"))?;
    let script = "mount -t proc proc \"$0/proc\" && mount --rbind /sys \"$0/sys\" && exec chroot \"$0\" /awl -q -e \
                  'begin { @[comm] = count(); printf(\"alone\\n\"); } interval:ms:10 { exit(); }'";
    let got = Command::new("unshare").args(["--mount", "sh", "-c", script]).arg(&root).output();
    fs::remove_dir_all(&root)?;
    let got = got?;
    let (out, err) = (String::from_utf8_lossy(&got.stdout), String::from_utf8_lossy(&got.stderr));
    if !got.status.success() && err.contains("Operation not permitted") {
        println!("not tried in an empty root: that takes root");
        return Ok(());
    }
    if !got.status.success() || !out.contains("alone\n") || !out.contains("@[awl]: 1") {
        return Err(Failed(format!("in an empty root: {}\n{out}{err}", got.status)));
    }
    println!("runs in an empty root");
    Ok(())
}

/// Runs the binary in virtual machines.
fn kernels(awl: &Path) -> Result<(), Failed> {
    if text(Command::new("ldd").arg(awl)).is_ok_and(|libraries| libraries.contains("=>")) {
        println!("{} is not static: guests get this machine's libraries", awl.display());
    }
    let mut args = vec!["--awl".to_owned(), awl.display().to_string()];
    args.extend(IN_KERNELS.iter().flat_map(|name| ["--case".to_owned(), (*name).to_owned()]));
    if vm::main(&args)? { Ok(()) } else { Err(Failed("not all is well in the kernels".into())) }
}

fn text(command: &mut Command) -> Result<String, Failed> {
    let got = command.output().map_err(|e| Failed(format!("{command:?}: {e}")))?;
    if !got.status.success() {
        return Err(Failed(format!("{command:?}: {}\n{}", got.status, String::from_utf8_lossy(&got.stderr))));
    }
    Ok(String::from_utf8_lossy(&got.stdout).into_owned())
}

fn run(command: &mut Command) -> Result<(), Failed> {
    let status = command.status().map_err(|e| Failed(format!("{command:?}: {e}")))?;
    if status.success() { Ok(()) } else { Err(Failed(format!("{command:?}: {status}"))) }
}
