//! `cargo xtask guest KERNEL COMMAND`: one boot of a kernel, a command of the shell in it, and what it prints.

use crate::options::{Options, Words};
use crate::vm::{Failed, Machine, Said, cache, guest};
use std::path::Path;
use std::time::Duration;

pub const USAGE: &str = "cargo xtask guest KERNEL... --run COMMAND [--boot PARAMETER] [--with PROGRAM] [--beside FOLDER] [--awl PATH]";
/// seconds
const LIMIT: u32 = 400;

/// True: the command succeeded in each kernel. `--with strace` brings a program of this machine and its libraries, `--boot
/// lockdown=confidentiality` is for the kernel's own command line, `--beside FOLDER` puts a folder of this machine at the guest's root.
pub fn main(args: &[String]) -> Result<bool, Failed> {
    let words = Words { usage: USAGE, choice: "--run", flags: &[], kernels: &[] };
    let (mut rest, mut programs, mut boot, mut folders) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut all = args.iter();
    while let Some(a) = all.next() {
        match a.as_str() {
            "--with" => programs.extend(all.next().map(String::as_str)),
            "--beside" => folders.extend(all.next().map(Path::new)),
            "--boot" => boot.extend(all.next().map(String::as_str)),
            _ => rest.push(a.clone()),
        }
    }
    let o = Options::parse(&rest, &words)?;
    let [command] = o.only.as_slice() else { return Err(Failed(USAGE.into())) };
    let machine = Machine::get(&cache()?, o.awl.as_deref())?;
    let mut good = !o.kernels.is_empty();
    for series in &o.kernels {
        let kernel = machine.kernel(series, false)?.told(boot.join(" "));
        let mut parts = machine.parts(&kernel);
        (parts.limit, parts.programs) = (LIMIT, &programs);
        let mut image = guest::files(&parts, &[guest::Step { needs: String::new(), run: format!("{command}\n") }])?;
        for folder in &folders {
            guest::add_folder(&mut image, folder, &folder.file_name().unwrap_or_default().to_string_lossy())?;
        }
        let image = image.finish();
        let mut done = false;
        let boot = machine.boot(&kernel, &image, "2G", Duration::from_secs(60 + u64::from(LIMIT)), |said| {
            if let Said::Done(_, got, _) = said {
                print!("{}", got.stdout);
                eprint!("{}", got.stderr);
                done = got.status == Some(0);
            }
        })?;
        if let Some(tail) = &boot.died {
            println!("{series}: the guest ended early. The end of its log:\n{tail}");
        }
        good &= done && boot.died.is_none();
    }
    Ok(good)
}
