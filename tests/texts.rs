//! Scripts of several texts: imports and headers.

mod common;

use common::{awl, text};

/// A directory of texts that is gone at the end of the test.
struct Texts(std::path::PathBuf);

impl Texts {
    fn new(name: &str, files: &[(&str, &str)]) -> Texts {
        let dir = std::env::temp_dir().join(format!("awl-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for (name, text) in files {
            std::fs::write(dir.join(name), text).unwrap();
        }
        Texts(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Texts {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn imports_are_found_or_refused() {
    use std::os::unix::fs::PermissionsExt;
    let texts = Texts::new(
        "imports",
        &[
            ("a.bt", "import \"b.bt\"; begin { print(b()); exit(); }"),
            ("b.bt", "macro b() { 1 }"),
            ("open.bt", "macro b() { 1 }"),
            ("c.bt", "import \"open.bt\"; begin { exit(); }"),
            ("set.bt", "config = { max_map_keys = 1 } macro b() { 1 }"),
            ("d.bt", "import \"set.bt\"; begin { exit(); }"),
            ("e.bt", "import \"x.bpf.c\"; begin { exit(); }"),
            ("x.bpf.c", "int f(void) { return 1; }"),
            ("f.bt", "import \"b.bt\"; begin { print(b(2)); exit(); }"),
        ],
    );
    std::fs::set_permissions(texts.path("open.bt"), std::fs::Permissions::from_mode(0o666)).unwrap();
    let check = |name: &str| text(&awl(&["check", &texts.path(name)]).stderr);
    assert_eq!(check("a.bt"), "");
    assert!(check("c.bt").contains("can be written by everybody"), "{}", check("c.bt"));
    assert!(check("d.bt").contains("error[import-config]"), "{}", check("d.bt"));
    assert!(check("e.bt").contains("is C code"), "{}", check("e.bt"));
    // The mistake is in one text, its cause in another.
    let said = check("f.bt");
    assert!(said.contains("error[arg-count]") && said.contains("b.bt:1:7"), "{said}");
}

#[test]
fn headers_are_looked_for() {
    let texts = Texts::new("headers", &[("n.h", "#define N 5\nstruct n { char c[N]; };\nint f(int);\n")]);
    let program = "begin { static_assert(sizeof(struct n) == N); exit(); }";
    let dir = texts.0.display().to_string();
    let include = format!("#include \"n.h\"\n{program}");
    for args in [
        &["--dry-run", "-I", &dir, "-e", &include][..],
        &["--dry-run", "-I", &dir, "--include", "n.h", "-e", program],
        &["--dry-run", "--include", &texts.path("n.h"), "-e", program],
    ] {
        let got = awl(args);
        assert!(got.status.success(), "{args:?} {}", text(&got.stderr));
    }
    let got = awl(&["--dry-run", "-e", &include]);
    let said = text(&got.stderr);
    assert!(!got.status.success() && said.contains("warning[include]") && said.contains("`-I DIR`"), "{said}");
    assert!(!awl(&["--dry-run", "--include", "nowhere.h", "-e", program]).status.success());
}
