//! `cargo xtask vm [KERNEL...] [--case NAME] [--update] [--write]`: the scripts of `tests/kernel` and `tests/vm` and the examples of
//! packets and policies in Debian's kernels, under emulation: one boot for each kernel, one table at the end.

pub mod apt;
pub mod arch;
mod built;
pub mod cpio;
pub mod guest;
pub mod kernel;
pub mod qemu;
mod table;

use crate::options::{Options, Words};
use crate::queue::{self, SECOND};
use arch::Arch;
use built::Built;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use table::{Run, Verdict};
use xtask::case::{Case, Got};

/// The oldest kernel that awl is for, the long-term ones of Debian since, and a recent one. Those of other processors
/// (`6.12-arm64`) are run when named: they take a compiler's target that few have.
pub const KERNELS: &[&str] = &["5.10", "6.1", "6.12", "7.3"];
/// Loaded into each guest.
const MODULES: &[&str] = &["veth", "dummy", "sch_ingress", "cls_bpf", "null_blk"];

/// There, to be loaded by cases: `/vm/later/NAME` lists what belongs to a module.
const LATER: &[&str] = &["vsock_loopback", "ifb"];

/// Why nothing could be run.
#[derive(Debug)]
pub struct Failed(pub String);

impl From<std::io::Error> for Failed {
    fn from(e: std::io::Error) -> Failed {
        Failed(e.to_string())
    }
}

pub const USAGE: &str = "cargo xtask vm [KERNEL...] [--case NAME] [--update] [--write] [--awl PATH]";

/// True: nothing was at fault.
pub fn main(args: &[String]) -> Result<bool, Failed> {
    let flags = &["--update", "--write"];
    matrix(&Options::parse(args, &Words { usage: USAGE, choice: "--case", flags, kernels: KERNELS })?)
}

/// True: everything passed.
fn matrix(o: &Options) -> Result<bool, Failed> {
    let begun = Instant::now();
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf();
    let cache = cache()?;
    std::fs::create_dir_all(&cache)?;
    let mut cases = Case::all(&top.join("tests/kernel"))?;
    cases.extend(Case::all(&top.join("tests/vm"))?);
    cases.extend(examples(&top)?);
    cases.retain(|c| o.wants(&c.name));
    if cases.is_empty() && !o.only.is_empty() {
        return Err(Failed(format!("no case is called {}", o.only.join(" or "))));
    }
    let mut machines: Vec<Machine> = Vec::new();
    let (mut boots, mut more) = (Vec::new(), Vec::new());
    for series in &o.kernels {
        let (arch, _) = Arch::of(series);
        let there = machines.iter().position(|m| m.arch.debian == arch.debian);
        if there.is_none() {
            machines.push(Machine::of(arch, &cache, o.awl.as_deref())?);
        }
        let which = there.unwrap_or(machines.len() - 1);
        for (parameters, those) in by_boot(&cases) {
            let kernel = machines[which].kernel(series, o.has("--update"))?.told(parameters);
            let chosen: Vec<&Case> = those.iter().map(|i| &cases[*i]).collect();
            let image = guest::initramfs(&machines[which].parts(&kernel), &chosen)?;
            let boot = (which, kernel, those, image);
            if boot.1.parameters.is_empty() { boots.push(boot) } else { more.push(boot) }
        }
    }
    boots.append(&mut more);
    // Guests wait more than they compute: two at a time.
    let ends = queue::each(&boots, 2, |(which, kernel, those, image)| run_cases(&machines[*which], kernel, (&cases, those), image));
    let mut runs: Vec<Run> = Vec::new();
    for (end, (which, kernel, those, _)) in ends.into_iter().zip(&boots) {
        let mut end = end?;
        second_try(&machines[*which], kernel, (&cases, those), &mut end)?;
        match runs.iter_mut().find(|r| r.series == end.series) {
            Some(run) => run.add(end),
            None => runs.push(end),
        }
    }
    let tables = o.has("--write") && o.kernels.iter().all(|k| !Arch::of(k).0.foreign());
    if tables && o.only.is_empty() {
        write_between(&top.join("README.md"), "probes by kernel", &table::support(&cases, &runs))?;
    }
    if tables {
        write_between(&top.join("docs/kernels.md"), "examples by kernel", &table::examples(&cases, &runs))?;
    }
    Ok(table::print(&cases, &runs, begun.elapsed()))
}

/// Cases by what kernels are told when they are booted for them (`// boot: PARAMETER ...`), most of them nothing. Those that change their
/// kernel for good (`// last: WHY`) come last.
fn by_boot(cases: &[Case]) -> Vec<(String, Vec<usize>)> {
    let mut boots: Vec<(String, Vec<usize>)> = Vec::new();
    let last = |i: &usize| cases[*i].directive("last").is_some();
    let mut order: Vec<usize> = (0..cases.len()).collect();
    order.sort_by_key(last);
    for i in order {
        let parameters = cases[i].directive("boot").unwrap_or_default();
        match boots.iter_mut().find(|(p, _)| p == parameters) {
            Some((_, those)) => those.push(i),
            None => boots.push((parameters.to_string(), vec![i])),
        }
    }
    boots
}

/// The folder of cases that are examples.
pub const EXAMPLES: &str = "examples";

/// A case for each example of packets and policies: it is loaded and attached with the arguments of the command that it shows,
/// but to what guests have, and ends.
fn examples(top: &Path) -> Result<Vec<Case>, Failed> {
    let mut cases = Vec::new();
    for folder in ["net", "lsm"] {
        for mut case in Case::all(&top.join(EXAMPLES).join(folder))? {
            let command = case.script.lines().find_map(|l| l.strip_prefix("// awl "));
            let (flags, args) = command
                .and_then(|c| c.split_once(&format!("{EXAMPLES}/{}.bt", case.name)))
                .ok_or_else(|| Failed(format!("{}: no line `// awl ... {EXAMPLES}/{0}.bt ...`", case.name)))?;
            let here = |word: &str| match word {
                "eth0" => "lo".to_string(),
                w if w.starts_with("/sys/fs/cgroup/") => "/sys/fs/cgroup".to_string(),
                w => w.to_string(),
            };
            let args: Vec<String> = args.split_whitespace().map(here).collect();
            let needs = if folder == "lsm" { "lsm" } else { "cgroup2" };
            let how = format!("// flags: {flags}\n// args: {}\n// output: any\n// needs: {needs}\n", args.join(" "));
            case.script = format!("{}\ninterval:ms:200 {{ exit(); }}\n{how}", case.script);
            case.name = format!("{EXAMPLES}/{}", case.name);
            cases.push(case);
        }
    }
    Ok(cases)
}

/// What boots need, whatever runs in them.
pub struct Machine {
    pub qemu: qemu::Qemu,
    arch: &'static Arch,
    busybox: PathBuf,
    /// programs of guests are found there
    pub root: PathBuf,
    awl: Stripped,
    cache: PathBuf,
    logs: PathBuf,
    built: Vec<Built>,
    /// of the repository
    pub top: PathBuf,
}

/// A smaller copy, removed in the end.
struct Stripped(PathBuf);

impl Stripped {
    /// Its file has the process in its name; those of processes that were ended from outside go now.
    fn new(cache: &Path, arch: &str) -> Stripped {
        for f in std::fs::read_dir(cache).into_iter().flatten().flatten() {
            let name = f.file_name().to_string_lossy().into_owned();
            let owner = name.strip_prefix("awl.").and_then(|n| n.rsplit('.').next()?.parse::<u32>().ok());
            if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                let _ = std::fs::remove_file(f.path());
            }
        }
        Stripped(cache.join(format!("awl.{arch}.{}", std::process::id())))
    }
}

impl Drop for Stripped {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What a guest said.
pub enum Said {
    Skipped(usize, String),
    /// a step's end, and the seconds that it took
    Done(usize, Got, f64),
}

/// How a boot went.
pub struct Boot {
    pub took: Duration,
    /// the end of the kernel's log where the guest ended too early
    pub died: Option<String>,
}

impl Machine {
    /// Of this machine's own kind.
    pub fn get(cache: &Path, awl: Option<&Path>) -> Result<Machine, Failed> {
        Machine::of(Arch::of("").0, cache, awl)
    }

    fn of(arch: &'static Arch, cache: &Path, awl: Option<&Path>) -> Result<Machine, Failed> {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf();
        let awl = match awl {
            Some(path) => path.to_path_buf(),
            None => arch.build(&top)?,
        };
        let stripped = Stripped::new(cache, arch.debian);
        // What is handed out goes in as it is.
        let sections = Command::new("readelf").arg("-SW").arg(&awl).output()?;
        if arch.foreign() || (sections.status.success() && !String::from_utf8_lossy(&sections.stdout).contains(" .symtab")) {
            std::fs::copy(&awl, &stripped.0)?;
        } else {
            run(Command::new("strip").arg("-o").arg(&stripped.0).arg(&awl))?;
        }
        let qemu = qemu::Qemu::get(cache, &mut apt::Apt::new(cache, None), arch)?;
        let busybox = busybox(cache, arch)?;
        let root = arch.root(cache)?;
        let logs = top.join("target/vm");
        std::fs::create_dir_all(&logs)?;
        let built = Built::all(arch, &top, &logs.join(format!("programs.{}", arch.debian)))?;
        Ok(Machine { qemu, arch, busybox, root, awl: stripped, cache: cache.to_path_buf(), logs, top, built })
    }

    pub fn kernel(&self, series: &str, update: bool) -> Result<kernel::Kernel, Failed> {
        let (arch, _) = Arch::of(series);
        if arch.debian != self.arch.debian {
            return Err(Failed(format!("{series} is a kernel for {}: only `cargo xtask vm` runs those", arch.debian)));
        }
        kernel::get(series, &self.cache, &mut arch.apt(&self.cache), update)
    }

    pub fn parts<'a>(&'a self, kernel: &'a kernel::Kernel) -> guest::Parts<'a> {
        guest::Parts {
            kernel,
            awl: &self.awl.0,
            busybox: &self.busybox,
            root: &self.root,
            limit: guest::CASE_LIMIT,
            programs: &[],
            modules: &[],
            built: &self.built,
        }
    }

    /// One boot; once more where userspace isn't reached, which is the emulator's fault, not ours.
    pub fn boot(
        &self,
        kernel: &kernel::Kernel,
        image: &[u8],
        memory: &str,
        limit: Duration,
        mut hear: impl FnMut(Said),
    ) -> Result<Boot, Failed> {
        let initrd = self.logs.join(format!("{}.initrd", kernel.label()));
        std::fs::write(&initrd, image)?;
        let log = self.logs.join(format!("{}.log", kernel.label()));
        let mut retried = false;
        loop {
            let begun = Instant::now();
            let (mut up, mut end, mut got) = (false, false, Got::default());
            self.qemu.boot(kernel, &initrd, &log, memory, limit, |line| {
                let Some(said) = line.strip_prefix(guest::MARK) else {
                    for (mark, to) in [("o:", &mut got.stdout), ("e:", &mut got.stderr)] {
                        if let Some(text) = line.strip_prefix(mark) {
                            to.push_str(text);
                            to.push('\n');
                        }
                    }
                    return;
                };
                let words: Vec<&str> = said.splitn(3, ' ').collect();
                match words.as_slice() {
                    ["up"] => up = true,
                    ["end"] => end = true,
                    ["skip", n, why] => {
                        if let Ok(n) = n.parse() {
                            hear(Said::Skipped(n, (*why).to_string()));
                        }
                    }
                    ["rc", n, rest] => {
                        let got = std::mem::take(&mut got);
                        let Ok(n) = n.parse() else { return };
                        let mut numbers = rest.split(' ');
                        let status = numbers.next().and_then(|s| s.parse().ok());
                        let mut second = || numbers.next().and_then(|s| s.parse::<f64>().ok()).unwrap_or(0.0);
                        let (from, to) = (second(), second());
                        hear(Said::Done(n, Got { status, ..got }, to - from));
                    }
                    _ => {}
                }
            })?;
            if !up && !retried {
                eprintln!("vm: {} did not reach userspace; once more (log: {})", kernel.series, log.display());
                retried = true;
                continue;
            }
            let died = (!end).then(|| {
                let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).into_owned();
                let tail: Vec<&str> = text.lines().rev().take(25).collect();
                tail.into_iter().rev().collect::<Vec<_>>().join("\n")
            });
            let _ = std::fs::remove_file(&initrd);
            return Ok(Boot { took: begun.elapsed(), died });
        }
    }
}

/// Those of the cases that are in the image, in that order.
fn run_cases(machine: &Machine, kernel: &kernel::Kernel, (cases, those): (&[Case], &[usize]), image: &[u8]) -> Result<Run, Failed> {
    let mut verdicts = vec![Verdict::Missing; cases.len()];
    let limit = Duration::from_secs(120 + 10 * those.len() as u64);
    let boot = machine.boot(kernel, image, "1G", limit, |said| {
        let (n, verdict): (usize, &dyn Fn(&Case) -> Verdict) = match &said {
            Said::Skipped(n, why) => (*n, &|_| Verdict::Skipped(why.clone())),
            Said::Done(n, got, seconds) => (*n, &|case| match (case.fault(got), case.lack(got)) {
                (None, _) => Verdict::Passed(*seconds),
                (Some(_), Some(lack)) => Verdict::Skipped(lack),
                (Some(why), None) => Verdict::Failed(why),
            }),
        };
        if let Some(i) = those.get(n) {
            verdicts[*i] = verdict(&cases[*i]);
        }
    })?;
    Ok(Run { series: kernel.series.clone(), release: kernel.release.clone(), verdicts, took: boot.took, died: boot.died })
}

/// Those of a boot that failed once more, with the machine to themselves: under emulation a guest that waits for its processor may miss what a case
/// waits for. What failed is printed all the same. (Where the guest ended too early: all that it didn't come to.)
fn second_try(machine: &Machine, kernel: &kernel::Kernel, (cases, those): (&[Case], &[usize]), run: &mut Run) -> Result<(), Failed> {
    let of = |f: fn(&Verdict) -> bool| those.iter().copied().filter(|i| f(&run.verdicts[*i])).collect::<Vec<_>>();
    let (failed, missing) = (of(|v| matches!(v, Verdict::Failed(_))), of(|v| matches!(v, Verdict::Missing)));
    if failed.len() > SECOND || failed.len() + missing.len() == 0 {
        return Ok(());
    }
    let those = [failed, missing].concat();
    let chosen: Vec<&Case> = those.iter().map(|i| &cases[*i]).collect();
    let image = guest::initramfs(&machine.parts(kernel), &chosen)?;
    run.again(run_cases(machine, kernel, (cases, &those), &image)?);
    Ok(())
}

/// Replaces what is between `<!-- NAME -->` and `<!-- end of NAME -->`.
pub fn write_between(file: &Path, name: &str, text: &str) -> Result<(), Failed> {
    let old = std::fs::read_to_string(file)?;
    let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let parts = old.split_once(&start).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let (before, after) = parts.ok_or_else(|| Failed(format!("{}: no `{}`", file.display(), start.trim())))?;
    Ok(std::fs::write(file, format!("{before}{start}{text}{end}{after}"))?)
}

/// Packages are large and the same for every checkout, so they are kept outside of it.
pub fn cache() -> Result<PathBuf, Failed> {
    if let Some(dir) = std::env::var_os("AWL_VM_CACHE") {
        return Ok(dir.into());
    }
    let home =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    home.map(|h| h.join("awl-vm")).ok_or_else(|| Failed("no place for the kernels: set AWL_VM_CACHE".into()))
}

fn busybox(cache: &Path, arch: &Arch) -> Result<PathBuf, Failed> {
    let dir = cache.join(if arch.foreign() { format!("busybox.{}", arch.debian) } else { "busybox".into() });
    let found = |dir: &Path| ["bin/busybox", "usr/bin/busybox"].iter().map(|p| dir.join(p)).find(|p| p.exists());
    if found(&dir).is_none() {
        apt::unpack(&arch.apt(cache).download("busybox-static")?, &dir)?;
    }
    found(&dir).ok_or_else(|| Failed("the package busybox-static holds no busybox".into()))
}

pub fn run(command: &mut Command) -> Result<(), Failed> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(s) if s.success() => Ok(()),
        Ok(s) => Err(Failed(format!("`{name} {}` ended with {s}", arguments(command)))),
        Err(e) => Err(Failed(format!("`{name}`: {e}"))),
    }
}

fn text_of(command: &mut Command) -> Result<String, Failed> {
    match command.output() {
        Ok(o) if o.status.success() => Ok(String::from_utf8_lossy(&o.stdout).into_owned()),
        Ok(o) => {
            let said = String::from_utf8_lossy(&o.stderr).into_owned();
            Err(Failed(format!("`{} {}`: {said}", command.get_program().to_string_lossy(), arguments(command))))
        }
        Err(e) => Err(Failed(format!("`{}`: {e}", command.get_program().to_string_lossy()))),
    }
}

fn arguments(command: &Command) -> String {
    command.get_args().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
