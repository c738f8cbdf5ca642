//! The command line.

use awl_compiler::diagnostic::Diagnostic;
use awl_compiler::probe::filter::Filter;
use awl_compiler::target::Feature;
use awl_runtime::target::HostTarget;
use awl_runtime::trial::Kind;
use clap::{Arg, ArgAction, Command};
use std::ffi::OsString;
use std::path::PathBuf;

/// What the user asked for.
#[derive(Debug, Default)]
pub struct Cli {
    pub program: Option<String>,
    /// file (or `-`) when there is no `-e`; then positional parameters
    pub rest: Vec<String>,
    pub command: Option<String>,
    pub pid: Option<u32>,
    /// `--dwarf-pid`
    pub unwound: Vec<u32>,
    pub list: bool,
    pub verbose: bool,
    pub output: Option<String>,
    pub quiet: bool,
    pub json: bool,
    /// objects of `-f json` say when they were written and of which probe they are
    pub json_tags: bool,
    pub buffering: Option<String>,
    pub dry_run: bool,
    /// count the events of a second instead of running the script
    pub estimate: bool,
    pub allow_unsafe: bool,
    pub enforce: bool,
    pub pin: Option<String>,
    /// places that appear while it runs are attached, too
    pub follow: bool,
    pub warnings: bool,
    pub helper_errors: bool,
    pub emit: Option<String>,
    pub version: bool,
    /// measured numbers with units
    pub human: bool,
    pub info: bool,
    /// run tests or benchmarks, and nothing else
    pub trials: Option<Kind>,
    /// print the script in its canonical form
    pub format_script: bool,
    pub obj: Option<String>,
    /// `-I`: where headers are looked for
    pub directories: Vec<String>,
    /// `--include`
    pub headers: Vec<String>,
    pub filter: Option<Filter>,
    /// `--no-feature`
    pub without: Vec<Feature>,
    pub functions: Option<String>,
    /// `--debuginfo`: directories like `/usr/lib/debug`
    pub debuginfo: Vec<PathBuf>,
}

pub const STAGES: [&str; 7] = ["ast", "hir", "clif", "vcode", "bpf", "plan", "obj"];

/// Options of bpftrace that mean nothing here, with their short form and whether they take a value, and why.
const WITHOUT_EFFECT: &[(&str, Option<char>, bool, &str)] = &[
    ("btf", Some('b'), false, "types come from the running kernel anyway"),
    ("debug", Some('d'), true, "`--emit STAGE` shows awl's own stages"),
    ("emit-llvm", None, true, "nothing is made by LLVM"),
    ("usdt-file-activation", None, false, "the kernel counts up the semaphore of each process that has the file, later ones too"),
    ("verify-llvm-ir", None, false, "nothing is made by LLVM"),
];

/// What `--no-feature` may name.
const FEATURES: [(&str, Feature); 4] = [
    ("kprobe_multi", Feature::KprobeMulti),
    ("kprobe_session", Feature::KprobeSession),
    ("rdonly_cast", Feature::ReadOnlyCast),
    ("uprobe_multi", Feature::UprobeMulti),
];

pub fn command() -> Command {
    let flag =
        |name: &'static str, short: char, help: &'static str| Arg::new(name).short(short).long(name).action(ArgAction::SetTrue).help(help);
    Command::new("awl")
        .about("traces Linux: awk's cousin for the kernel")
        .override_usage("awl -e PROGRAM [PARAMETER]...\n       awl FILE [PARAMETER]...   (`-` is standard input)\n       awl -l [PATTERN]\n       awl                       (on a terminal: the prompt)\n       awl SUBCOMMAND ...        (`awl help` lists them)")
        .disable_version_flag(true)
        // Said twice, the last one counts, as with getopt.
        .args_override_self(true)
        .arg(Arg::new("program").short('e').value_name("PROGRAM").help("run this text"))
        .arg(Arg::new("cmd").short('c').long("cmd").value_name("COMMAND").help("start COMMAND, trace until it ends"))
        .arg(Arg::new("pid").short('p').long("pid").value_name("PID").value_parser(clap::value_parser!(u32).range(1..)).conflicts_with("cmd").help("trace only this process, until it ends"))
        .arg(Arg::new("dwarf-pid").long("dwarf-pid").value_name("PID").value_parser(clap::value_parser!(u32).range(1..)).action(ArgAction::Append).help("`dw_ustack` unwinds stacks of this process, too"))
        .arg(flag("list", 'l', "list attach points that match a pattern (with -v: their arguments)"))
        .arg(flag("verbose", 'v', "say more: the verifier's whole log, arguments in lists, how long attaching took"))
        .arg(Arg::new("output").short('o').long("output").value_name("FILE").help("write the output to FILE"))
        .arg(flag("quiet", 'q', "print nothing but what the script prints"))
        .arg(Arg::new("format").short('f').value_name("FORMAT").value_parser(["text", "json"]).help("form of the output"))
        .arg(Arg::new("json-version").long("json-version").value_name("N").value_parser(["1", "2"]).requires("format").help("1: JSON as bpftrace's; 2: with version, time and probe in each object, and a schema of the maps"))
        .arg(Arg::new("buffering").short('B').value_name("MODE").value_parser(["line", "full", "none"]).help("when output is written out"))
        .arg(Arg::new("dry-run").long("dry-run").action(ArgAction::SetTrue).help("check and compile only"))
        .arg(Arg::new("unsafe").long("unsafe").action(ArgAction::SetTrue).help("allow what changes the traced system"))
        .arg(Arg::new("warnings").short('k').long("warnings").action(ArgAction::Count).help("tell of each failure of a helper in the kernel, with its place"))
        .arg(Arg::new("enforce").long("enforce").action(ArgAction::SetTrue).help("apply verdicts (drop, deny, redirect) and write packets; else they are only counted"))
        .arg(Arg::new("pin").long("pin").value_name("NAME").help("attach, leave everything in the kernel under NAME (in the place of what is there) and exit (`awl ps`, `awl stop NAME`)"))
        .arg(Arg::new("follow").long("follow").action(ArgAction::SetTrue).conflicts_with_all(["pin", "estimate"]).help("attach also to what appears later (files, modules, libraries), and count children of -p and -c"))
        .arg(Arg::new("no-warnings").long("no-warnings").action(ArgAction::SetTrue).help("show errors only"))
        .arg(Arg::new("emit").long("emit").value_name("STAGE").value_parser(STAGES).help("print a stage of the compiler and stop; needs no rights"))
        .arg(Arg::new("directories").short('I').long("include-dir").value_name("DIR").action(ArgAction::Append).help("look for headers in DIR, too"))
        .arg(Arg::new("headers").long("include").value_name("FILE").action(ArgAction::Append).help("include a header, as `#include` would"))
        .arg(Arg::new("debuginfo").long("debuginfo").value_name("DIR[:DIR]").action(ArgAction::Append).help("look for debug information of programs in DIR, too"))
        .arg(message_format())
        .arg(
            Arg::new("estimate")
                .long("estimate")
                .action(ArgAction::SetTrue)
                .help("count for a second how often each probe would run, and do nothing else of the script"),
        )
        .arg(Arg::new("human").long("human").action(ArgAction::SetTrue).help("print values of maps with units: 45.6M"))
        .arg(flag("version", 'V', "print the version"))
        .arg(Arg::new("info").long("info").action(ArgAction::SetTrue).help("say what this machine's kernel has for tracing"))
        .arg(Arg::new("fmt").long("fmt").action(ArgAction::SetTrue).help("print the script in its canonical form and stop"))
        .arg(Arg::new("emit-elf").long("emit-elf").value_name("FILE").help("write the compiled object to FILE and stop"))
        .arg(Arg::new("mode").long("mode").value_name("MODE").value_parser(["codegen", "format", "test", "bench"]).help("`codegen`: as --dry-run; `format`: as --fmt; `test`, `bench`: as those"))
        .arg(Arg::new("test").long("test").action(ArgAction::SetTrue).conflicts_with("bench").help("run the script's `test` probes"))
        .arg(Arg::new("bench").long("bench").action(ArgAction::SetTrue).help("run the script's `bench` probes, and say how long they take"))
        .arg(
            Arg::new("probe-filter")
                .long("probe-filter")
                .value_name("REGEX")
                .value_parser(Filter::new)
                .help("attach only the probes whose names match"),
        )
        .arg(
            Arg::new("no-feature")
                .long("no-feature")
                .value_name("FEATURE,...")
                .value_delimiter(',')
                .action(ArgAction::Append)
                .value_parser(FEATURES.map(|(name, _)| name))
                .help("do without what this kernel has"),
        )
        .arg(
            Arg::new("traceable-functions")
                .long("traceable-functions")
                .value_name("FILE")
                .help("take the kernel's functions from FILE, in the form of available_filter_functions"),
        )
        .args(WITHOUT_EFFECT.iter().map(|(name, short, value, why)| {
            let arg = Arg::new(*name).long(*name).help(*why).hide(true);
            let arg = if *value { arg.action(ArgAction::Append) } else { arg.action(ArgAction::Count) };
            short.map_or(arg.clone(), |c| arg.short(c))
        }))
        .arg(Arg::new("rest").value_name("FILE|PARAMETER").num_args(0..).trailing_var_arg(true).allow_hyphen_values(true))
}

/// `--message-format`
pub fn message_format() -> Arg {
    Arg::new("message-format")
        .long("message-format")
        .value_name("FORMAT")
        .value_parser(["text", "json"])
        .help("form of errors and warnings")
}

/// The command line with all subcommands, for manual pages and completions.
pub fn whole() -> Command {
    command().disable_help_subcommand(true).subcommands(crate::command::ROWS.iter().map(|r| crate::command::command(r)))
}

/// Options may stand behind the script and its parameters, up to `--`: here they are in front. A word that is no option of ours
/// is a parameter, whatever it begins with.
fn options_first(command: &Command, words: Vec<OsString>) -> Vec<OsString> {
    let mut words = words.into_iter();
    let mut options: Vec<OsString> = words.next().into_iter().collect();
    let mut others = Vec::new();
    let mut has_text = false;
    while let Some(word) = words.next() {
        if word == "--" {
            others.push(word);
            others.extend(words.by_ref());
            break;
        }
        let text = word.to_string_lossy();
        match options_in(command, &text) {
            // In front of the script an unknown option stays where it is, to be complained of.
            None if others.is_empty() && !has_text && text.len() > 1 && text.starts_with('-') => {
                others.push(word);
                others.extend(words.by_ref());
            }
            None => others.push(word),
            Some((these, value_follows)) => {
                has_text |= these.iter().any(|o| o == "-e");
                options.extend(these);
                options.extend(value_follows.then(|| words.next()).flatten());
            }
        }
    }
    options.append(&mut others);
    options
}

/// The options that a word stands for, one a word, and whether the next word is a value; `None` where it is no option of ours.
fn options_in(command: &Command, word: &str) -> Option<(Vec<OsString>, bool)> {
    let takes_value = |a: &Arg| a.get_action().takes_values();
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v)));
        let follows = match command.get_arguments().find(|a| a.get_long() == Some(name)) {
            Some(a) => takes_value(a) && value.is_none(),
            None if name == "help" => false,
            None => return None,
        };
        return Some((vec![word.into()], follows));
    }
    let mut out = Vec::new();
    let mut letters = word.strip_prefix('-')?.chars();
    while let Some(c) = letters.next() {
        let arg = command.get_arguments().find(|a| a.get_short() == Some(c));
        if arg.is_none() && c != 'h' {
            return None;
        }
        out.push(OsString::from(format!("-{c}")));
        if arg.is_some_and(takes_value) {
            let value = letters.as_str();
            out.extend((!value.is_empty()).then(|| value.into()));
            return Some((out, value.is_empty()));
        }
    }
    (!out.is_empty()).then_some((out, false))
}

/// Reads the command line; `Err` is the exit status after clap has said what is wrong, or what was asked.
pub fn parse() -> Result<Cli, u8> {
    // `awl run ...` is `awl ...`, for those who like to say what they do.
    let mut words: Vec<_> = std::env::args_os().collect();
    if words.get(1).is_some_and(|w| w == "run") && !std::path::Path::new("run").is_file() {
        words.remove(1);
    }
    let command = command();
    let words = options_first(&command, words);
    let matches = command.try_get_matches_from(words).map_err(|e| {
        let bad = e.use_stderr();
        // Nobody to tell when the stream is closed.
        let _ = e.print();
        u8::from(bad)
    })?;
    crate::report::set_format(&matches);
    let all = |name: &str| matches.get_many::<String>(name).map(|r| r.cloned().collect()).unwrap_or_default();
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    Ok(Cli {
        program: text("program"),
        rest: matches.get_many::<String>("rest").map(|r| r.filter(|a| *a != "--").cloned().collect()).unwrap_or_default(),
        command: text("cmd"),
        pid: matches.get_one::<u32>("pid").copied(),
        unwound: matches.get_many::<u32>("dwarf-pid").map(|p| p.copied().collect()).unwrap_or_default(),
        list: matches.get_flag("list"),
        verbose: matches.get_flag("verbose"),
        output: text("output"),
        quiet: matches.get_flag("quiet"),
        json: text("format").as_deref() == Some("json"),
        json_tags: text("format").as_deref() == Some("json") && text("json-version").as_deref() == Some("2"),
        buffering: text("buffering"),
        estimate: matches.get_flag("estimate"),
        dry_run: matches.get_flag("dry-run") || text("mode").as_deref() == Some("codegen"),
        allow_unsafe: matches.get_flag("unsafe"),
        enforce: matches.get_flag("enforce"),
        pin: text("pin"),
        follow: matches.get_flag("follow"),
        warnings: !matches.get_flag("no-warnings"),
        helper_errors: matches.get_count("warnings") > 0,
        emit: text("emit").or_else(|| text("emit-elf").map(|_| "obj".into())),
        version: matches.get_flag("version"),
        human: matches.get_flag("human"),
        info: matches.get_flag("info"),
        trials: match text("mode").as_deref() {
            Some("test") => Some(Kind::Tests),
            Some("bench") => Some(Kind::Benchmarks),
            _ if matches.get_flag("test") => Some(Kind::Tests),
            _ => matches.get_flag("bench").then_some(Kind::Benchmarks),
        },
        format_script: matches.get_flag("fmt") || text("mode").as_deref() == Some("format"),
        obj: text("emit-elf"),
        directories: all("directories"),
        headers: all("headers"),
        filter: matches.get_one::<Filter>("probe-filter").cloned(),
        without: all("no-feature").iter().filter_map(|n| Some(FEATURES.iter().find(|(name, _)| name == n)?.1)).collect(),
        functions: text("traceable-functions"),
        debuginfo: all("debuginfo").iter().flat_map(|d| d.split(':')).filter(|d| !d.is_empty()).map(PathBuf::from).collect(),
    })
}

impl Cli {
    /// The machine, as the command line wants it seen.
    pub fn target(&self) -> Result<HostTarget, Box<Diagnostic>> {
        let target =
            self.pid.map_or_else(HostTarget::new, HostTarget::of_process).without(&self.without).with_stores(self.debuginfo.clone());
        let target = match ["AWL_BTF", "BPFTRACE_BTF"].into_iter().find_map(std::env::var_os).filter(|f| !f.is_empty()) {
            Some(types) => target.with_types(types.into()),
            None => target,
        };
        let Some(file) = &self.functions else { return Ok(target) };
        // A pipe is opened once, by who reads it.
        match std::fs::metadata(file).and_then(|m| if m.is_file() { std::fs::File::open(file).map(drop) } else { Ok(()) }) {
            Ok(()) => Ok(target.with_functions(file.into())),
            Err(e) => Err(Box::new(
                Diagnostic::usage("no-file", format!("the list of functions `{file}` can't be read: {e}"))
                    .help("a name a line, as /sys/kernel/tracing/available_filter_functions has them"),
            )),
        }
    }
}

/// The usage, on standard error.
pub fn usage() {
    eprintln!("{}", command().render_usage());
}
