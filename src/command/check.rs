//! `awl check`: what the compiler has to say about scripts. Nothing is loaded, so it needs no rights.

use super::Subcommand;
use crate::script::Script;
use crate::{Failure, report};
use awl_compiler::compile::compile;
use awl_compiler::sema::Options;
use awl_compiler::source::SourceMap;
use awl_runtime::target::HostTarget;
use clap::{Arg, ArgAction, ArgMatches, Command};

pub const ROW: Subcommand = Subcommand { name: "check", command, run };

fn command(c: Command) -> Command {
    c.about("check scripts without running them; needs no rights")
        .override_usage("awl check FILE...\n       awl check -e PROGRAM [PARAMETER]...")
        .arg(Arg::new("program").short('e').value_name("PROGRAM").help("check this text"))
        .arg(Arg::new("unsafe").long("unsafe").action(ArgAction::SetTrue).help("allow what changes the traced system"))
        .arg(Arg::new("no-warnings").long("no-warnings").action(ArgAction::SetTrue).help("show errors only"))
        .arg(super::message_format())
        .arg(Arg::new("rest").value_name("FILE").num_args(0..).trailing_var_arg(true).help("scripts; `-` is standard input"))
}

fn run(m: &ArgMatches) -> Result<u8, Failure> {
    report::set_format(m);
    let rest: Vec<String> = m.get_many::<String>("rest").map(|r| r.cloned().collect()).unwrap_or_default();
    let options = |params: Vec<String>| -> Result<Options, Failure> {
        Ok(Options { params, allow_unsafe: m.get_flag("unsafe"), config: crate::environment()?, dry_run: true, ..Options::default() })
    };
    let target = HostTarget::new();
    let check = |name: String, script: Script, options: &Options| {
        let mut sources = SourceMap::default();
        let file = sources.add(name, script.text.clone());
        if let Some(d) = script.refusal(file) {
            report::show(&sources, std::slice::from_ref(&d), true);
            return Ok(report::exit_code(&[*d]));
        }
        // Without forced headers there is nothing to refuse.
        let _ = crate::sources::gather(&mut sources, file, &[], &[]);
        let found = compile(&sources, file, &target, options, false).diagnostics;
        report::show(&sources, &found, !m.get_flag("no-warnings"));
        Ok::<u8, Failure>(report::exit_code(&found))
    };
    if let Some(program) = m.get_one::<String>("program") {
        return check("<-e>".into(), program.clone().into(), &options(rest)?);
    }
    let files = if rest.is_empty() { vec!["-".to_owned()] } else { rest };
    let options = options(Vec::new())?;
    let mut worst = 0;
    for file in files {
        let script = Script::read(&file)?;
        worst = worst.max(check(if file == "-" { "<stdin>".into() } else { file }, script, &options)?);
    }
    Ok(worst)
}
