//! Sources of counters, from sysfs.

use awl_compiler::target::Unavailable;
use awl_compiler::target::pmu::Pmu;
use std::io;
use std::path::Path;

pub(crate) const DEVICES: &str = "/sys/bus/event_source/devices";

/// `Ok(None)`: there is none of that name.
pub(super) fn read(devices: &Path, name: &str) -> Result<Option<Pmu>, Unavailable> {
    let dir = devices.join(name);
    let unreadable = |why: &str| Unavailable {
        code: "no-pmu",
        message: format!("the PMU `{name}` can't be used: {}: {why}", dir.display()),
        help: "`ls` shows who may read it".into(),
    };
    if name.contains(['/', '\0']) || name.starts_with('.') {
        return Ok(None);
    }
    let kind = match std::fs::read_to_string(dir.join("type")) {
        Ok(text) => text.trim().parse().map_err(|_| unreadable("its type is no number"))?,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(unreadable(&e.to_string())),
    };
    // Beside the events there are files with their units and scales.
    let mut events = texts(&dir.join("events"));
    events.retain(|(n, _)| ![".unit", ".scale", ".per-pkg", ".snapshot"].iter().any(|end| n.ends_with(end)));
    Ok(Some(Pmu { name: name.to_owned(), kind, formats: texts(&dir.join("format")), events }))
}

/// Names and texts of the files in a directory, by name; there need not be one.
fn texts(dir: &Path) -> Vec<(String, String)> {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<_> = files
        .filter_map(|f| Some((f.file_name().into_string().ok()?, std::fs::read_to_string(f.path()).ok()?.trim().to_owned())))
        .collect();
    found.sort();
    found
}

pub(super) fn names(devices: &Path) -> Vec<String> {
    let mut found: Vec<String> =
        std::fs::read_dir(devices).into_iter().flatten().flatten().filter_map(|f| f.file_name().into_string().ok()).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_directory_as_sysfs_has_it() {
        let devices = std::env::temp_dir().join(format!("awl-pmu-{}", std::process::id()));
        for (file, text) in [
            ("cpu/type", "4\n"),
            ("cpu/format/event", "config:0-7\n"),
            ("cpu/format/umask", "config:8-15\n"),
            ("cpu/events/cache-misses", "event=0x64,umask=0x9\n"),
            ("power/type", "21\n"),
            ("power/format/event", "config:0-7\n"),
            ("power/events/energy-pkg", "event=0x02\n"),
            ("power/events/energy-pkg.unit", "Joules\n"),
            ("power/events/energy-pkg.scale", "2.3e-10\n"),
            ("bare/type", "7\n"),
            ("broken/type", "x\n"),
        ] {
            let path = devices.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        assert_eq!(names(&devices), ["bare", "broken", "cpu", "power"]);
        let cpu = read(&devices, "cpu").unwrap().unwrap();
        assert_eq!((cpu.kind, cpu.config("cache-misses"), cpu.config("event=0xc0")), (4, Ok([0x964, 0, 0]), Ok([0xc0, 0, 0])));
        let power = read(&devices, "power").unwrap().unwrap();
        assert_eq!(power.events, [("energy-pkg".to_owned(), "event=0x02".to_owned())]);
        let bare = read(&devices, "bare").unwrap().unwrap();
        assert_eq!((bare.config("config=3"), bare.names().count()), (Ok([3, 0, 0]), 0));
        assert_eq!(read(&devices, "none").unwrap(), None);
        assert_eq!(read(&devices, "../cpu").unwrap(), None);
        assert_eq!(read(&devices, "broken").unwrap_err().code, "no-pmu");
        fs::remove_dir_all(&devices).unwrap();
    }
}
