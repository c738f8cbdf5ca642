//! A kernel's packages to what boots: `vmlinux` unpacked (the emulated guest would take seconds for it), and modules.

use super::Failed;
use super::apt::{self, Apt};
use super::arch::Arch;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub struct Kernel {
    /// `6.12`, `6.12-arm64`
    pub series: String,
    /// `6.12.107+deb13-cloud-amd64`
    pub release: String,
    /// what the emulator starts
    pub image: PathBuf,
    pub arch: &'static Arch,
    /// for its command line, behind the usual ones
    pub parameters: String,
    /// of its packages
    tree: PathBuf,
}

pub fn get(series: &str, cache: &Path, apt: &mut Apt, update: bool) -> Result<Kernel, Failed> {
    let tree = cache.join("kernels").join(series);
    let (vmlinux, release) = (tree.join("vmlinux"), tree.join("release"));
    let (arch, version) = Arch::of(series);
    if update || !release.exists() {
        let _ = std::fs::remove_dir_all(&tree);
        // From 7 on the image is in one package, its modules in another, and the older name stands for both.
        let of = |what: &str| format!("linux-{what}-{version}.*-cloud-{}", arch.debian);
        let parts = [of("binary"), of("modules")];
        let whole = [of("image")];
        let major: u32 = version.split('.').next().and_then(|m| m.parse().ok()).unwrap_or(0);
        for name in if major >= 7 { &parts[..] } else { &whole[..] } {
            apt::unpack(&apt.download(name)?, &tree)?;
        }
        let image =
            find(&tree, &|name| name.starts_with("vmlinuz")).ok_or_else(|| Failed(format!("the packages of {series} hold no kernel")))?;
        let modules = find_dir(&tree).ok_or_else(|| Failed(format!("the packages of {series} hold no modules")))?;
        let image = std::fs::read(image)?;
        // The emulator unpacks those of arm64 itself.
        std::fs::write(&vmlinux, if arch.debian == "amd64" { unpacked(&image)? } else { image })?;
        std::fs::write(&release, modules.file_name().unwrap_or_default().to_string_lossy().as_bytes())?;
    }
    let release = std::fs::read_to_string(release)?;
    Ok(Kernel { series: series.into(), release, image: vmlinux, arch, parameters: String::new(), tree })
}

impl Kernel {
    /// The same, booted with more on its command line.
    pub fn told(self, parameters: String) -> Kernel {
        Kernel { parameters, ..self }
    }

    /// What files of a boot are called.
    pub fn label(&self) -> String {
        format!("{} {}", self.series, self.parameters).trim_end().replace([' ', '/'], ".")
    }

    /// A module and those that it depends on, in the order of loading. Nothing where it is built in.
    pub fn module(&self, name: &str) -> Result<Vec<(String, Vec<u8>)>, Failed> {
        let mut list = Vec::new();
        self.collect(name, &mut list)?;
        Ok(list)
    }

    /// `modules.dep` as depmod makes it, but for what each module depends on.
    pub fn list(&self) -> Result<String, Failed> {
        let folder = find_dir(&self.tree).ok_or_else(|| Failed(format!("the packages of {} hold no modules", self.series)))?;
        let (mut list, mut folders) = (String::new(), vec![folder.clone()]);
        while let Some(inside) = folders.pop() {
            for entry in std::fs::read_dir(inside)? {
                let path = entry?.path();
                let name = path.strip_prefix(&folder).unwrap_or(&path).display().to_string();
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path);
                } else if name.contains(".ko") {
                    list.push_str(&format!("{name}:\n"));
                }
            }
        }
        Ok(list)
    }

    fn collect(&self, name: &str, list: &mut Vec<(String, Vec<u8>)>) -> Result<(), Failed> {
        if list.iter().any(|(n, _)| n == name) {
            return Ok(());
        }
        let is = |file: &str| file.split_once(".ko").is_some_and(|(stem, _)| stem.replace('-', "_") == name);
        let Some(path) = find(&self.tree, &is) else { return Ok(()) };
        let bytes = if path.extension().is_some_and(|e| e == "xz") {
            piped(Command::new("xz").arg("-dc"), &std::fs::read(&path)?)?
        } else {
            std::fs::read(&path)?
        };
        const KEY: &[u8] = b"\0depends=";
        if let Some(at) = bytes.windows(KEY.len()).position(|w| w == KEY) {
            let rest = &bytes[at + KEY.len()..];
            let end = rest.iter().position(|b| *b == 0).unwrap_or(0);
            let names = String::from_utf8_lossy(&rest[..end]).into_owned();
            for d in names.split(',').filter(|d| !d.is_empty()) {
                self.collect(&d.replace('-', "_"), list)?;
            }
        }
        list.push((name.into(), bytes));
        Ok(())
    }
}

fn find(dir: &Path, wanted: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir).ok()?.flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            if let Some(found) = find(&path, wanted) {
                return Some(found);
            }
        } else if wanted(&path.file_name().unwrap_or_default().to_string_lossy()) {
            return Some(path);
        }
    }
    None
}

fn find_dir(tree: &Path) -> Option<PathBuf> {
    let of = |p: &str| std::fs::read_dir(tree.join(p)).ok()?.flatten().map(|e| e.path()).find(|p| p.is_dir());
    of("usr/lib/modules").or_else(|| of("lib/modules"))
}

/// The ELF file in a bzImage (Documentation/arch/x86/boot.rst: `setup_sects` at 0x1f1, `payload_offset` at 0x248).
fn unpacked(image: &[u8]) -> Result<Vec<u8>, Failed> {
    let bad = || Failed("the kernel's image is not a bzImage".into());
    let word =
        |at: usize| image.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes).map(|v| v as usize).ok_or_else(bad);
    if image.get(0x202..0x206) != Some(b"HdrS") {
        return Err(bad());
    }
    let setup = match image[0x1f1] {
        0 => 4,
        n => usize::from(n),
    };
    let start = (setup + 1) * 512 + word(0x248)?;
    let payload = image.get(start..start + word(0x24c)?).ok_or_else(bad)?;
    let tool: &[&str] = match payload {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => &["zstd", "-dc"],
        [0x02, 0x21, 0x4c, 0x18, ..] => &["lz4", "-dc"],
        [0x1f, 0x8b, ..] => &["gzip", "-dc"],
        [0xfd, b'7', b'z', ..] => &["xz", "-dc"],
        _ => return Err(Failed("the kernel's image is packed in an unknown way".into())),
    };
    // The length of the unpacked file follows the packed data: tools complain about it after the work is done.
    let elf = piped(Command::new(tool[0]).args(&tool[1..]), payload)?;
    if elf.starts_with(b"\x7fELF") { Ok(elf) } else { Err(bad()) }
}

fn piped(command: &mut Command, input: &[u8]) -> Result<Vec<u8>, Failed> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| Failed(format!("{}: {e}", command.get_program().to_string_lossy())))?;
    let stdin = child.stdin.take();
    let out = std::thread::scope(|s| {
        s.spawn(move || stdin.map(|mut i| i.write_all(input)));
        child.wait_with_output()
    })?;
    Ok(out.stdout)
}
