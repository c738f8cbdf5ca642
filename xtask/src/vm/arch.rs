//! What differs between guests of different processors.

use super::apt::Apt;
use super::{Failed, run, text_of};
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Arch {
    /// Debian's name of it
    pub debian: &'static str,
    /// what names of kernels end in
    suffix: &'static str,
    /// what awl is built for; none: this machine
    target: Option<&'static str>,
    pub qemu: &'static str,
    /// Debian's package of the emulator
    pub package: &'static str,
    /// its options
    pub machine: &'static [&'static str],
    /// of the kernel
    pub console: &'static str,
    /// what cases print goes there
    pub channel: &'static str,
    /// the C compiler for programs that cases run
    pub cc: &'static str,
}

const AMD64: Arch = Arch {
    debian: "amd64",
    suffix: "",
    target: None,
    qemu: "qemu-system-x86_64",
    package: "qemu-system-x86",
    machine: &["-machine", "pc", "-cpu", "max"],
    console: "ttyS0",
    channel: "ttyS1",
    cc: "gcc",
};

const ARM64: Arch = Arch {
    debian: "arm64",
    suffix: "-arm64",
    target: Some("aarch64-unknown-linux-musl"),
    qemu: "qemu-system-aarch64",
    package: "qemu-system-arm",
    // Servers' ARMv8.2. `max` authenticates pointers, which takes the emulator three times as long to boot.
    machine: &["-machine", "virt", "-cpu", "neoverse-n1"],
    console: "ttyAMA0",
    channel: "ttyAMA1",
    cc: "aarch64-linux-gnu-gcc",
};

impl Arch {
    /// Of a kernel's name, with the rest of it: `6.12-arm64` is 6.12 for arm64.
    pub fn of(series: &str) -> (&'static Arch, &str) {
        series.strip_suffix(ARM64.suffix).map_or((&AMD64, series), |s| (&ARM64, s))
    }

    /// Is it another than this machine's?
    pub fn foreign(&self) -> bool {
        self.target.is_some()
    }

    /// Builds awl for it.
    pub fn build(&self, top: &Path) -> Result<PathBuf, Failed> {
        let Some(target) = self.target else {
            run(Command::new("cargo").args(["build", "-q"]).current_dir(top))?;
            return Ok(top.join("target/debug/awl"));
        };
        let library = text_of(Command::new("rustc").args(["--print", "target-libdir", "--target", target]).current_dir(top))?;
        if !Path::new(library.trim()).exists() {
            return Err(Failed(format!("the compiler has no target {target}: `rustup target add {target}`")));
        }
        // Rust's own linker knows all targets, `strip` this machine's alone. Warnings are told to those who build for it.
        let of_target = target.to_uppercase().replace('-', "_");
        run(Command::new("cargo")
            .args(["build", "-q", "--bin", "awl", "--target", target])
            .env(format!("CARGO_TARGET_{of_target}_LINKER"), "rust-lld")
            .env("CARGO_PROFILE_DEV_STRIP", "symbols")
            .current_dir(top))?;
        Ok(top.join("target").join(target).join("debug/awl"))
    }

    pub fn apt(&self, cache: &Path) -> Apt {
        Apt::new(cache, self.foreign().then_some(self.debian))
    }

    /// Where programs for it are found: this machine's own root, or packages unpacked in the cache.
    pub fn root(&self, cache: &Path) -> Result<PathBuf, Failed> {
        if !self.foreign() {
            return Ok(PathBuf::from("/"));
        }
        let root = cache.join(format!("root.{}", self.debian));
        if !root.join("complete").exists() {
            for package in self.apt(cache).closure_of(crate::peer::SUITE, &["bash", "coreutils", "procps"])? {
                super::apt::unpack(&package, &root)?;
            }
            std::fs::write(root.join("complete"), "")?;
        }
        Ok(root)
    }

    /// The libraries that a program needs, with their paths below the root.
    pub fn libraries(&self, root: &Path, program: &Path) -> Result<Vec<PathBuf>, Failed> {
        let path = |l: &str| l.split_whitespace().find(|w| w.starts_with('/')).map(PathBuf::from);
        if !self.foreign() {
            let text = text_of(Command::new("ldd").arg(program)).unwrap_or_default();
            return Ok(text.lines().filter_map(path).collect());
        }
        // Nothing here runs it: the names of libraries, and of what those need.
        let (mut found, mut open) = (Vec::new(), vec![program.to_path_buf()]);
        while let Some(file) = open.pop() {
            let text = text_of(Command::new("readelf").args(["-W", "-l", "-d"]).arg(&file))?;
            let loader = text.lines().filter_map(|l| l.split("interpreter: ").nth(1)?.trim().strip_suffix(']').map(str::to_string));
            let needed = text.lines().filter(|l| l.contains("(NEEDED)")).filter_map(|l| Some(l.split_once('[')?.1.split_once(']')?.0));
            let folder = |name: &str| format!("/usr/lib/{}/{name}", Self::TRIPLE);
            for path in loader.chain(needed.map(folder)).map(PathBuf::from) {
                let here = below(root, &path);
                if here.exists() && !found.contains(&path) {
                    found.push(path);
                    open.push(here);
                }
            }
        }
        Ok(found)
    }

    /// Debian's folder of libraries for the one foreign processor.
    const TRIPLE: &str = "aarch64-linux-gnu";
}

/// Path of a guest's file on this machine. `/lib` is a link to `/usr/lib` there, and not in unpacked packages.
pub fn below(root: &Path, path: &Path) -> PathBuf {
    let inside = path.strip_prefix("/").unwrap_or(path);
    let plain = root.join(inside);
    if plain.exists() { plain } else { root.join("usr").join(inside) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_say_whose_they_are() {
        let of = |series| (Arch::of(series).0.debian, Arch::of(series).1);
        assert_eq!(of("6.12"), ("amd64", "6.12"));
        assert_eq!(of("6.12-arm64"), ("arm64", "6.12"));
    }
}
