//! Command lines of what runs in virtual machines.

use crate::vm::Failed;
use std::path::PathBuf;

/// What a command understands beside `--awl PATH`.
pub struct Words {
    pub usage: &'static str,
    /// the option that says by name what alone is wanted
    pub choice: &'static str,
    /// options without a value
    pub flags: &'static [&'static str],
    /// those that are meant where none is named
    pub kernels: &'static [&'static str],
}

pub struct Options {
    pub kernels: Vec<String>,
    /// what was chosen; nothing: all
    pub only: Vec<String>,
    /// the binary, where it isn't to be built
    pub awl: Option<PathBuf>,
    flags: Vec<String>,
}

impl Options {
    pub fn parse(args: &[String], words: &Words) -> Result<Options, Failed> {
        let usage = words.usage;
        let mut o = Options { kernels: Vec::new(), only: Vec::new(), awl: std::env::var_os("AWL").map(PathBuf::from), flags: Vec::new() };
        let mut args = args.iter();
        while let Some(a) = args.next() {
            let mut value = || args.next().cloned().ok_or_else(|| Failed(format!("`{a}` needs a value: {usage}")));
            match a.as_str() {
                choice if choice == words.choice => o.only.push(value()?),
                "--awl" => o.awl = Some(value()?.into()),
                flag if words.flags.contains(&flag) => o.flags.push(flag.into()),
                flag if flag.starts_with('-') => return Err(Failed(format!("unknown option `{flag}`: {usage}"))),
                series => o.kernels.push(series.into()),
            }
        }
        if o.kernels.is_empty() {
            o.kernels = words.kernels.iter().map(|k| k.to_string()).collect();
        }
        Ok(o)
    }

    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|f| f == flag)
    }

    /// Was it chosen, by a part of its name?
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|o| name.contains(o.as_str()))
    }
}
