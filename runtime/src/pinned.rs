//! Maps that outlive their script (`pin("name")`): in the folder `awl_maps` of a bpf file system, with types that any awl reads.

use crate::living;
use crate::load::{Loaded, is_permission, permission};
use crate::maps::{Rows, View};
use crate::sys::bpf::{self, Map, MapInfo, PossibleCpus};
use crate::sys::net;
use awl_compiler::Span;
use awl_compiler::artifact::{self, Artifact, KernelMap, MapKind, Pin, Plan, Storage};
use awl_compiler::bpf::described;
use awl_compiler::diagnostic::Diagnostic;
use awl_compiler::sema::{MAP_KINDS, is_device, kind_name};
use awl_compiler::target::btf::Btf;
use awl_compiler::types::Ty;
use awl_compiler::value::literal;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

fn folder() -> Result<PathBuf, Diagnostic> {
    Ok(living::file_system().ok_or_else(living::no_folder)?.join("awl_maps"))
}

fn place_of(name: &str) -> Result<PathBuf, Diagnostic> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        let d = Diagnostic::usage("pin-name", format!("`{name}` is no name that a map is kept under"));
        return Err(d.help("letters, digits, `_` and `-`; `awl map ls` lists the names"));
    }
    Ok(folder()?.join(name))
}

fn failed(what: &str, e: &io::Error) -> Diagnostic {
    if is_permission(e) { permission(what, e) } else { Diagnostic::environment("pinned-map", format!("can't {what}: {e}")) }
}

/// The types of a map; `None`: another tool made it.
fn types(info: &MapInfo) -> io::Result<Option<(Vec<Ty>, Ty)>> {
    // The kernel takes no types for these, and they have but one.
    if kind_of(info).is_some_and(is_device) {
        return Ok(Some((vec![Ty::U32], Ty::U32)));
    }
    if info.btf == 0 {
        return Ok(None);
    }
    let btf = Btf::parse(bpf::btf_bytes(info.btf)?).map_err(io::Error::other)?;
    Ok(described::read(&btf, info.key_type, info.value_type))
}

fn shape(kind: MapKind, keys: &[Ty], value: &Ty, entries: u32) -> String {
    let keys: Vec<String> = keys.iter().map(Ty::to_string).collect();
    format!("{}({entries}) with keys [{}] and values of {value}", kind_name(kind), keys.join(", "))
}

fn kind_of(info: &MapInfo) -> Option<MapKind> {
    MAP_KINDS.iter().map(|(_, k)| *k).find(|k| *k as u32 == info.kind)
}

/// The map of that name, if there is one.
///
/// # Errors
/// `no-bpffs`, `no-permission`, `pin-name`, `pinned-map` where the map is of another type.
pub fn find(m: &KernelMap, pin: &Pin, cpus: PossibleCpus) -> Result<Option<Map>, Diagnostic> {
    let what = format!("open the map `{}`", pin.name);
    let fd = match bpf::pinned(&place_of(&pin.name)?) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        fd => fd.map_err(|e| failed(&what, &e))?,
    };
    let (map, info) = Map::of(fd, cpus).map_err(|e| failed(&what, &e))?;
    let there = types(&info).map_err(|e| failed(&what, &e))?.zip(kind_of(&info));
    let same = there.as_ref().is_some_and(|((keys, value), kind)| (keys, value, *kind) == (&pin.keys, &pin.value, m.kind));
    let sizes = (info.key_size, info.value_size, info.max_entries) == (m.key_size, m.value_size, m.max_entries);
    if !same || !sizes {
        let wanted = shape(m.kind, &pin.keys, &pin.value, m.max_entries);
        let there = there.map(|((keys, value), kind)| shape(kind, &keys, &value, info.max_entries));
        let d = Diagnostic::usage("pinned-map", format!("the map that is kept as `{}` is another one", pin.name));
        let there = there.unwrap_or_else(|| "a map of another tool".into());
        return Err(d
            .note(format!("there: {there}"))
            .note(format!("here: {wanted}"))
            .help(format!("choose another name, or `awl map rm {}`", pin.name)));
    }
    Ok(Some(map))
}

/// Gives their names to the maps that are new, and says which. All of them, or none.
///
/// # Errors
/// As `find`.
pub fn keep(plan: &Plan, maps: &[Map], fresh: &[bool]) -> Result<Vec<PathBuf>, Diagnostic> {
    let mut made: Vec<PathBuf> = Vec::new();
    for ((m, map), _) in plan.kernel_maps.iter().zip(maps).zip(fresh).filter(|(_, fresh)| **fresh) {
        let Some(pin) = &m.pin else { continue };
        let done = place_of(&pin.name).and_then(|place| {
            let made = std::fs::create_dir_all(place.parent().unwrap_or(&place)).and_then(|()| bpf::pin(&place, map.as_fd()));
            made.map(|()| place).map_err(|e| failed(&format!("keep the map `{}`", pin.name), &e))
        });
        match done {
            Ok(place) => made.push(place),
            Err(d) => {
                take_back(&made);
                return Err(d);
            }
        }
    }
    Ok(made)
}

/// Takes names away again that were given a moment ago: what they are for has failed.
pub(crate) fn take_back(made: &[PathBuf]) {
    for place in made {
        // Who took it away meanwhile is welcome.
        let _ = std::fs::remove_file(place);
    }
}

/// A kept map, without its script.
pub struct Kept {
    /// says how the map is laid out and printed
    pub artifact: Artifact,
    loaded: Loaded,
}

impl Kept {
    /// # Errors
    /// `no-bpffs`, `no-permission`, `pin-name`, `pinned-map` where there is no such map or awl didn't make it.
    pub fn open(name: &str) -> Result<Kept, Diagnostic> {
        let what = format!("open the map `{name}`");
        let place = place_of(name)?;
        let fd = bpf::pinned(&place).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Diagnostic::usage("pinned-map", format!("no map is kept as `{name}`"))
                .help("`awl map ls` lists those that are; `let @m = hash(1000) pin(\"name\");` keeps one"),
            _ => failed(&what, &e),
        })?;
        let cpus = PossibleCpus::read().map_err(|e| failed("read the number of CPUs", &e))?;
        let (map, info) = Map::of(fd, cpus).map_err(|e| failed(&what, &e))?;
        let Some(((keys, value), kind)) = types(&info).map_err(|e| failed(&what, &e))?.zip(kind_of(&info)) else {
            return Err(Diagnostic::usage("pinned-map", format!("`{name}` is a map of another tool: its types are not known")));
        };
        let mut plan = Plan::default();
        let pin = Pin { name: name.to_owned(), keys: keys.clone(), value: value.clone() };
        plan.kernel_maps.push(KernelMap {
            name: name.to_owned(),
            kind,
            key_size: info.key_size,
            value_size: info.value_size,
            max_entries: info.max_entries,
            pin: Some(pin),
            stacks: None,
        });
        plan.maps.push(artifact::Map { name: name.to_owned(), keys, value, storage: Storage::Kernel(0), span: Span::default() });
        let artifact = Artifact { plan, ..Artifact::default() };
        Ok(Kept { artifact, loaded: Loaded { maps: vec![map], sections: Vec::new(), programs: Vec::new(), cpus, kept: Vec::new() } })
    }

    fn map(&self) -> &artifact::Map {
        &self.artifact.plan.maps[0]
    }

    fn kernel(&self) -> &KernelMap {
        &self.artifact.plan.kernel_maps[0]
    }

    fn failed(&self, what: &str, e: &io::Error) -> Diagnostic {
        failed(&format!("{what} `{}`", self.map().name), e)
    }

    /// A line for `awl map ls`: kind, keys, value.
    pub fn shape(&self) -> String {
        shape(self.kernel().kind, &self.map().keys, &self.map().value, self.kernel().max_entries)
    }

    fn key(&self, text: &str) -> Result<Vec<u8>, Diagnostic> {
        literal::key(self.kernel().kind, &self.map().keys, text).map_err(|e| self.no_value("key", text, &e))
    }

    fn no_value(&self, what: &str, text: &str, why: &str) -> Diagnostic {
        let d = Diagnostic::usage("pinned-map", format!("`{text}` is no {what} of `{}`: {why}", self.map().name));
        d.note(self.shape()).help("as a script writes it: `5`, `10.0.0.1`, `'\"text\"'`, `'10.0.0.1, 80'`")
    }

    /// # Errors
    /// Where the kernel gives nothing.
    pub fn read(&self) -> Result<Rows, Diagnostic> {
        View::new(&self.artifact, &self.loaded).read(0).map_err(|e| self.failed("read", &e))
    }

    /// One entry, or none.
    ///
    /// # Errors
    /// Where the text is no key.
    pub fn get(&self, key: &str) -> Result<Rows, Diagnostic> {
        let key = self.key(key)?;
        View::new(&self.artifact, &self.loaded).get(0, &key).map_err(|e| self.failed("read", &e))
    }

    /// # Errors
    /// Where the texts are no key and value, the map is full or its values are aggregations.
    pub fn set(&self, key: &str, value: &str) -> Result<(), Diagnostic> {
        let (ty, bytes) = (&self.map().value, self.key(key)?);
        if let Ty::Agg(_) = ty {
            let d = Diagnostic::usage("pinned-map", format!("`{}` holds a `{ty}`, which programs alone write", self.map().name));
            return Err(d.help("`awl map rm NAME KEY` takes an entry away"));
        }
        let mut value =
            self.interface(value).map_or_else(|| literal::value(ty, value), Ok).map_err(|e| self.no_value("value", value, &e))?;
        value.resize(self.kernel().value_size as usize, 0);
        self.loaded.maps[0].update(&bytes, &value).map_err(|e| match e.raw_os_error() {
            Some(libc::E2BIG | libc::ENOSPC) => self.failed("write", &e).help("an array ends there, or the map is full"),
            _ => self.failed("write", &e),
        })
    }

    /// Of a map of interfaces a name stands for the number.
    fn interface(&self, name: &str) -> Option<Vec<u8>> {
        let all = net::interfaces().ok().filter(|_| self.kernel().kind == MapKind::DevMap)?;
        let name = name.trim_matches('"');
        all.iter().find(|(_, n)| n == name).map(|(index, _)| index.to_ne_bytes().to_vec())
    }

    /// `Ok(false)`: there was no such key.
    ///
    /// # Errors
    /// Where the text is no key, or the kind has no removal.
    pub fn remove(&self, key: &str) -> Result<bool, Diagnostic> {
        let key = self.key(key)?;
        View::new(&self.artifact, &self.loaded).delete(0, &key).map_err(|e| self.failed("remove from", &e))
    }
}

/// Names of all maps that are kept.
///
/// # Errors
/// `no-bpffs`, `no-permission`.
pub fn names() -> Result<Vec<String>, Diagnostic> {
    let entries = match std::fs::read_dir(folder()?) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|e| failed("list the maps", &e))?,
    };
    let mut names: Vec<String> = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// The map ends with the last program that uses it.
///
/// # Errors
/// `no-bpffs`, `pin-name`, `no-permission`, `pinned-map` where there is none.
pub fn forget(name: &str) -> Result<(), Diagnostic> {
    std::fs::remove_file(place_of(name)?).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            Diagnostic::usage("pinned-map", format!("no map is kept as `{name}`")).help("`awl map ls` lists those that are")
        }
        _ => failed(&format!("remove the map `{name}`"), &e),
    })
}
