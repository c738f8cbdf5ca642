//! `awl fmt`: scripts in their canonical form.

use super::{Subcommand, say};
use crate::script::Script;
use crate::{Failure, report};
use awl_compiler::diagnostic::Diagnostic;
use awl_compiler::source::SourceMap;
use clap::{Arg, ArgAction, ArgMatches, Command};

pub const ROW: Subcommand = Subcommand { name: "fmt", command, run };

fn command(c: Command) -> Command {
    c.about("rewrite scripts in their canonical form, comments kept")
        .override_usage("awl fmt [--check] [FILE]...\n       awl fmt < IN > OUT")
        .arg(
            Arg::new("check").long("check").action(ArgAction::SetTrue).help("change nothing; name the files that would change, and exit 1"),
        )
        .arg(super::message_format())
        .arg(Arg::new("files").value_name("FILE").num_args(0..).help("scripts, rewritten in place; without any, standard input"))
}

fn run(m: &ArgMatches) -> Result<u8, Failure> {
    report::set_format(m);
    let check = m.get_flag("check");
    let files: Vec<String> = m.get_many::<String>("files").map(|f| f.cloned().collect()).unwrap_or_default();
    if files.is_empty() {
        let script = Script::read("-")?;
        return match canonical("<stdin>", &script) {
            Some(made) if check => Ok(u8::from(made != script.text)),
            Some(made) => say(&made),
            None => Ok(1),
        };
    }
    let mut worst = 0;
    for file in files {
        // What is rewritten must be a file; what is only looked at may come from a pipe.
        let script = if check { Script::read(&file)? } else { Script::of_file(&file)? };
        match canonical(&file, &script) {
            None => worst = 1,
            Some(made) if made == script.text => {}
            Some(_) if check => {
                worst = 1;
                say(&format!("{file}\n"))?;
            }
            Some(made) => replace(&file, &made)?,
        }
    }
    Ok(worst)
}

/// The canonical text; `None` after what is wrong with it was shown.
pub fn canonical(name: &str, script: &Script) -> Option<String> {
    let mut sources = SourceMap::default();
    let file = sources.add(name, script.text.clone());
    if let Some(d) = script.refusal_to_write(file) {
        report::show(&sources, &[*d], true);
        return None;
    }
    let (tree, errors) = awl_grammar::parse(&script.text, file);
    if errors.is_empty() {
        return Some(awl_grammar::print(&tree, &script.text));
    }
    let said: Vec<Diagnostic> = errors.into_iter().map(awl_compiler::compile::syntax).collect();
    report::show(&sources, &said, true);
    None
}

/// Writes a new file and puts it in the old one's place, so that a full disk doesn't leave half a script.
fn replace(file: &str, text: &str) -> Result<(), Failure> {
    let target = std::fs::canonicalize(file).unwrap_or_else(|_| file.into());
    let mut beside = target.clone().into_os_string();
    beside.push(".awl-fmt");
    let done = std::fs::write(&beside, text)
        .and_then(|()| std::fs::set_permissions(&beside, std::fs::metadata(&target)?.permissions()))
        .and_then(|()| std::fs::rename(&beside, &target));
    done.map_err(|e| {
        let _ = std::fs::remove_file(&beside);
        let d = Diagnostic::environment("output-file", format!("`{file}` can't be written: {e}"));
        Box::new(d.help(format!("print the new text instead: `awl fmt < {file}`")))
    })
}
