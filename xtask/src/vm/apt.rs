//! Debian's packages of other suites, without touching the machine's own apt: a folder of its own with the machine's mirror.

use super::{Failed, run, text_of};
use std::path::{Path, PathBuf};
use std::process::Command;

const SUITES: &[&str] = &["bullseye", "bookworm", "bookworm-backports", "trixie", "trixie-backports"];
const SECURITY: &[&str] = &["bullseye-security", "bookworm-security", "trixie-security"];
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

pub struct Apt {
    dir: PathBuf,
    fresh: bool,
    /// of packages for another processor, as if nothing were installed
    foreign: Option<&'static str>,
}

impl Apt {
    /// Of this machine's own packages, or of those for another processor (Debian's name of it).
    pub fn new(cache: &Path, foreign: Option<&'static str>) -> Apt {
        Apt { dir: cache.join(foreign.map_or("apt".to_string(), |f| format!("apt.{f}"))), fresh: false, foreign }
    }

    /// Reads the lists of packages, once.
    pub fn update(&mut self) -> Result<(), Failed> {
        if self.fresh {
            return Ok(());
        }
        for d in [
            "etc/sources.list.d",
            "etc/apt.conf.d",
            "etc/preferences.d",
            "etc/trusted.gpg.d",
            "state/lists/partial",
            "cache/archives/partial",
        ] {
            std::fs::create_dir_all(self.dir.join(d))?;
        }
        let (main, security) = mirrors()?;
        let mut lines = String::new();
        for (uri, suites) in [(main, SUITES), (security, SECURITY)] {
            let Some(uri) = uri else { continue };
            for s in suites {
                lines.push_str(&format!("deb [signed-by={KEYS}] {uri} {s} main\n"));
            }
        }
        std::fs::write(self.dir.join("etc/sources.list"), lines)?;
        let release = codename();
        let others = SUITES.iter().chain(SECURITY).filter(|s| !s.starts_with(&release));
        let pins = others.map(|s| format!("Package: *\nPin: release n={s}\nPin-Priority: 50\n\n"));
        std::fs::write(self.dir.join("etc/preferences"), pins.collect::<String>())?;
        let d = self.dir.display();
        let status = match self.foreign {
            None => "/var/lib/dpkg/status".to_string(),
            Some(_) => {
                std::fs::write(self.dir.join("status"), "")?;
                format!("{d}/status")
            }
        };
        let processor = self.foreign.map(|f| format!("APT::Architecture \"{f}\";\nAPT::Architectures {{ \"{f}\"; }};\n"));
        std::fs::write(
            self.dir.join("apt.conf"),
            format!(
                "Dir::State \"{d}/state\";\nDir::Cache \"{d}/cache\";\nDir::Etc \"{d}/etc\";\nDir::State::status \"{status}\";\nDebug::NoLocking \"true\";\n\
                 APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\nAcquire::Retries \"3\";\n{}",
                processor.unwrap_or_default()
            ),
        )?;
        run(self.command("apt-get").args(["update", "-qq"]))?;
        self.fresh = true;
        Ok(())
    }

    /// Downloads the newest package that one of the names means, and gives its file. A `*` stands for digits, dots, dashes
    /// and what Debian adds to a version.
    pub fn download(&mut self, name: &str) -> Result<PathBuf, Failed> {
        self.update()?;
        let pattern = format!("^{}$", name.replace('.', "\\.").replace('*', "[0-9.+a-z-]*"));
        let names = text_of(self.command("apt-cache").args(["search", "--names-only", &pattern]))?;
        let mut best: Option<(String, String)> = None;
        for package in names.lines().filter_map(|l| l.split_whitespace().next()) {
            // Packages of real-time kernels and of debugging symbols have other suffixes.
            let listed = text_of(self.command("apt-cache").args(["madison", package]))?;
            for version in listed.lines().filter_map(|l| Some(l.split('|').nth(1)?.trim().to_string())) {
                if best.as_ref().is_none_or(|(_, v)| newer(&version, v)) {
                    best = Some((package.to_string(), version));
                }
            }
        }
        let (package, version) = best.ok_or_else(|| Failed(format!("the mirror has no package `{name}`")))?;
        let dir = self.dir.join("debs");
        std::fs::create_dir_all(&dir)?;
        let start = format!("{package}_{}_", version.replace(':', "%3a"));
        let there = |dir: &Path| -> Result<Option<PathBuf>, Failed> {
            for e in std::fs::read_dir(dir)? {
                let path = e?.path();
                if path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&start)) {
                    return Ok(Some(path));
                }
            }
            Ok(None)
        };
        if there(&dir)?.is_none() {
            eprintln!("vm: downloading {package} {version}");
            run(self.command("apt-get").args(["download", "-qq", &format!("{package}={version}")]).current_dir(&dir))?;
        }
        there(&dir)?.ok_or_else(|| Failed(format!("{package} {version} was downloaded but is not there")))
    }

    /// Downloads a package of this machine's own release, or its backports, with all that it needs and the machine lacks.
    pub fn closure(&mut self, name: &str) -> Result<Vec<PathBuf>, Failed> {
        self.update()?;
        let archives = self.dir.join("cache/archives");
        eprintln!("vm: downloading {name}");
        let release = codename();
        // Priorities: newer packages of this release's backports, but nothing of another release.
        let suite = if SUITES.contains(&format!("{release}-backports").as_str()) { format!("{release}-backports") } else { release };
        run(self.command("apt-get").args(["install", "-qq", "-y", "--download-only", "--no-install-recommends", "-t", &suite, name]))?;
        packages_in(&archives)
    }

    /// Downloads packages of a release with all that they need, as if nothing were installed.
    pub fn closure_of(&mut self, suite: &str, names: &[&str]) -> Result<Vec<PathBuf>, Failed> {
        self.update()?;
        eprintln!("downloading {} of {suite}", names.join(", "));
        let dir = self.dir.join(format!("closure/{suite}/{}", names.join("-")));
        std::fs::create_dir_all(dir.join("partial"))?;
        let nothing = dir.join("status");
        std::fs::write(&nothing, "")?;
        run(self
            .command("apt-get")
            .args(["install", "-qq", "-y", "--download-only", "--no-install-recommends", "-t", suite])
            .args(["-o", &format!("Dir::State::status={}", nothing.display()), "-o", &format!("Dir::Cache::archives={}", dir.display())])
            .args(names))?;
        packages_in(&dir)
    }

    fn command(&self, program: &str) -> Command {
        let mut c = Command::new(program);
        c.env("APT_CONFIG", self.dir.join("apt.conf")).env("LC_ALL", "C");
        c
    }
}

fn packages_in(dir: &Path) -> Result<Vec<PathBuf>, Failed> {
    let mut files = Vec::new();
    for e in std::fs::read_dir(dir)? {
        let path = e?.path();
        if path.extension().is_some_and(|x| x == "deb") {
            files.push(path);
        }
    }
    Ok(files)
}

pub fn unpack(package: &Path, into: &Path) -> Result<(), Failed> {
    std::fs::create_dir_all(into)?;
    run(Command::new("dpkg").arg("-x").arg(package).arg(into))
}

/// `bookworm`
fn codename() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    text.lines().find_map(|l| l.strip_prefix("VERSION_CODENAME=")).unwrap_or("stable").trim_matches('"').to_string()
}

fn newer(a: &str, b: &str) -> bool {
    Command::new("dpkg").args(["--compare-versions", a, "gt", b]).status().is_ok_and(|s| s.success())
}

/// The machine's own mirrors of Debian and of its security updates.
fn mirrors() -> Result<(Option<String>, Option<String>), Failed> {
    let mut texts = vec![std::fs::read_to_string("/etc/apt/sources.list").unwrap_or_default()];
    for e in std::fs::read_dir("/etc/apt/sources.list.d")? {
        let path = e?.path();
        if path.extension().is_some_and(|x| x == "sources" || x == "list") {
            texts.push(std::fs::read_to_string(path)?);
        }
    }
    let (mut main, mut security) = (None, None);
    let mut take = |uri: &str, suites: &[&str]| {
        if suites.iter().any(|s| s.ends_with("-security")) {
            security.get_or_insert(uri.to_string());
        } else if suites.iter().any(|s| ["bullseye", "bookworm", "trixie", "forky", "stable", "sid"].contains(s)) {
            main.get_or_insert(uri.to_string());
        }
    };
    for text in &texts {
        for stanza in text.split("\n\n") {
            let field = |k: &str| stanza.lines().find_map(|l| l.strip_prefix(k)).map(str::trim);
            if let (Some(uris), Some(suites)) = (field("URIs:"), field("Suites:")) {
                let suites: Vec<&str> = suites.split_whitespace().collect();
                take(uris.split_whitespace().next().unwrap_or_default(), &suites);
            }
        }
        for line in text.lines().filter(|l| l.starts_with("deb ")) {
            let words: Vec<&str> = line.split_whitespace().skip(1).skip_while(|w| w.starts_with('[') || w.ends_with(']')).collect();
            if let [uri, suite, ..] = words.as_slice() {
                take(uri, &[suite]);
            }
        }
    }
    if main.is_none() {
        return Err(Failed("this machine's apt has no mirror of Debian: the kernels are Debian's packages".into()));
    }
    Ok((main, security))
}
