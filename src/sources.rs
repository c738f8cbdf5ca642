//! Finds the texts that a script asks for: `import`, `#include`, `-I`, `--include`.

use crate::script::{LARGEST, Script};
use awl_compiler::FileId;
use awl_compiler::assemble::{Wanted, is_own};
use awl_compiler::diagnostic::Diagnostic;
use awl_compiler::source::{Link, SourceMap};
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Reads what the script at `file` asks for, and what that asks for in turn, and links it to the places that ask.
pub fn gather(sources: &mut SourceMap, file: FileId, directories: &[String], forced: &[String]) -> Result<(), Box<Diagnostic>> {
    let mut g = Gather { sources, directories, known: HashMap::new(), queue: vec![file] };
    if let Some(s) = g.sources.get(file) {
        let path = PathBuf::from(&s.name).canonicalize();
        g.known.extend(path.ok().map(|p| (p, file)));
    }
    for path in forced {
        let here = Some(PathBuf::from(path)).filter(|p| p.is_file());
        let found =
            here.or_else(|| g.header(path, None)).ok_or_else(|| Diagnostic::usage("no-file", format!("there is no header `{path}`")))?;
        let file = g.read(&found).map_err(|why| Diagnostic::usage("no-file", format!("`{path}` can't be read: {why}")))?;
        g.sources.force(file);
    }
    while let Some(file) = g.queue.pop() {
        g.wants_of(file);
    }
    Ok(())
}

struct Gather<'a> {
    sources: &'a mut SourceMap,
    directories: &'a [String],
    known: HashMap<PathBuf, FileId>,
    /// texts of which it is not known yet what they ask for
    queue: Vec<FileId>,
}

impl Gather<'_> {
    fn wants_of(&mut self, file: FileId) {
        let Some(s) = self.sources.get(file) else { return };
        let wanted = Wanted::of(&s.text, file, s.name.ends_with(".h"));
        // A text without a file (`-e`) asks from where the command was called.
        let directory = Path::new(&s.name).parent().filter(|_| !s.name.starts_with('<')).unwrap_or(Path::new("")).to_owned();
        for (path, system, span) in wanted.headers {
            let own = if system { None } else { Some(directory.as_path()) };
            // What isn't found may not be needed: the kernel's types are known without headers.
            if let Some(Ok(file)) = self.header(&path, own).map(|p| self.read(&p)) {
                self.sources.link(span, Link::Files(vec![file]));
            }
        }
        for i in wanted.imports.into_iter().filter(|i| !is_own(&i.path)) {
            let refuse = |message: String, label: &str, help: Option<&str>| {
                let d = Diagnostic::error("no-import", i.span, message).label(label);
                Link::Refused(Box::new(match help {
                    Some(h) => d.help(h),
                    None => d,
                }))
            };
            let link = match self.import(&directory.join(&i.path)) {
                Ok(files) => Link::Files(files),
                Err(Refusal::Writable(path)) => refuse(
                    format!("`{}` can be written by everybody, so anyone could have put code there", path.display()),
                    "not imported",
                    Some("take that right away: `chmod o-w ...`"),
                ),
                Err(Refusal::C(path)) => refuse(
                    format!("`{}` is C code, which awl has no compiler for", path.display()),
                    "expected a script (`.bt`), a header (`.h`) or a directory of them",
                    None,
                ),
                Err(Refusal::Unread(path, why)) => refuse(format!("`{}` can't be imported: {why}", path.display()), "not read", None),
            };
            self.sources.link(i.span, link);
        }
    }

    /// Where a header is: beside the text that asks for it, else in a directory of `-I`.
    fn header(&self, path: &str, own: Option<&Path>) -> Option<PathBuf> {
        own.into_iter().chain(self.directories.iter().map(Path::new)).map(|d| d.join(path)).find(|p| p.is_file())
    }

    fn import(&mut self, path: &Path) -> Result<Vec<FileId>, Refusal> {
        let meta = std::fs::metadata(path).map_err(|e| Refusal::Unread(path.into(), reason(&e)))?;
        if meta.permissions().mode() & 0o002 != 0 {
            return Err(Refusal::Writable(path.into()));
        }
        if !meta.is_dir() {
            if !is_script(path) {
                return Err(Refusal::C(path.into()));
            }
            return Ok(vec![self.read(path).map_err(|why| Refusal::Unread(path.into(), why))?]);
        }
        let entries = std::fs::read_dir(path).map_err(|e| Refusal::Unread(path.into(), reason(&e)))?;
        let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| is_script(p)).collect();
        files.sort();
        files.iter().map(|f| self.import(f)).collect::<Result<Vec<_>, _>>().map(|f| f.concat())
    }

    fn read(&mut self, path: &Path) -> Result<FileId, String> {
        let whole = path.canonicalize().map_err(|e| reason(&e))?;
        if let Some(file) = self.known.get(&whole) {
            return Ok(*file);
        }
        let meta = std::fs::metadata(path).map_err(|e| reason(&e))?;
        if !meta.is_file() || meta.len() > LARGEST {
            return Err("it is no text".into());
        }
        let script = Script::decode(&std::fs::read(path).map_err(|e| reason(&e))?);
        if script.refusal(FileId(0)).is_some() {
            return Err("it is not in UTF-8".into());
        }
        let file = self.sources.add(path.display().to_string(), script.text);
        self.known.insert(whole, file);
        self.queue.push(file);
        Ok(file)
    }
}

enum Refusal {
    Writable(PathBuf),
    C(PathBuf),
    Unread(PathBuf, String),
}

fn is_script(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "bt" || e == "h" || e == "awl")
}

fn reason(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::NotFound => "there is no such file or directory".into(),
        std::io::ErrorKind::PermissionDenied => "no right to read it".into(),
        _ => e.to_string(),
    }
}
