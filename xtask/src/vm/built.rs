//! Programs that cases start or probe, compiled for the guest.

use super::arch::Arch;
use super::{Failed, run};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub struct Built {
    /// in `/usr/bin` or, for a library, `/usr/lib`
    pub name: &'static str,
    /// none: there is no compiler
    pub path: Option<PathBuf>,
}

/// Name, source in `tests/programs`, flags.
const ALL: &[(&str, &str, &[&str])] = &[
    ("moves", "moves.c", &["-O1", "-g", "-pthread"]),
    ("frames", "frames.c", &["-O2", "-fomit-frame-pointer"]),
    ("liblater.so", "later.c", &["-O1", "-g", "-shared", "-fPIC"]),
    ("many", "many.c", &["-O1"]),
    ("notes", "notes.c", &["-O1", "-fno-omit-frame-pointer"]),
    ("typed", "typed.c", &["-O2", "-g"]),
    ("typed-plain", "typed.c", &["-O0", "-g"]),
];

impl Built {
    /// # Errors
    /// Where a source doesn't compile.
    pub fn all(arch: &Arch, top: &Path, into: &Path) -> Result<Vec<Built>, Failed> {
        std::fs::create_dir_all(into)?;
        let there = Command::new(arch.cc).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        let mut list = Vec::new();
        for (name, source, flags) in ALL {
            let path = there.then(|| into.join(name));
            if let Some(to) = &path {
                run(Command::new(arch.cc).args(*flags).arg("-o").arg(to).arg(top.join("tests/programs").join(source)))?;
            }
            list.push(Built { name, path });
        }
        Ok(list)
    }
}
