//! The pure crates stay pure: nothing in their dependency tree or text can do IO, tell the time,
//! draw randomness or iterate in an order that differs between runs.

#![expect(clippy::disallowed_methods, reason = "the check itself reads the sources")]

use std::path::{Path, PathBuf};
use std::process::Command;

const PURE: [&str; 3] = ["journal-schema", "engine", "planner"];

/// Packages that must not be reachable from a pure crate, and why.
const BANNED_PACKAGES: [(&str, &str); 12] = [
    ("tokio", "a pure crate does not wait"),
    ("kube", "a pure crate does not know the API server"),
    ("k8s-openapi", "facts are the pure crates' view of objects"),
    ("sled", "a pure crate does no IO"),
    ("journal", "a pure crate does not know where entries are kept"),
    ("reqwest", "a pure crate does no IO"),
    ("hyper", "a pure crate does no IO"),
    ("rand", "a pure crate draws nothing"),
    ("getrandom", "a pure crate draws nothing"),
    ("chrono", "time enters in an entry"),
    ("jiff", "time enters in an entry"),
    ("tracing", "a pure crate returns what it has to say"),
];

/// Words that must not stand in a pure crate's sources outside of tests, and what to use instead.
const BANNED_WORDS: [(&str, &str); 9] = [
    ("HashMap", "BTreeMap"),
    ("HashSet", "BTreeSet"),
    ("Instant::now", "the entry's time"),
    ("SystemTime", "the entry's time"),
    ("std::fs", "the journal crate"),
    ("std::net", "an effect"),
    ("std::env", "the policy"),
    ("println!", "a returned value"),
    ("unsafe ", "safe code"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the engine lies in the workspace").to_owned()
}

#[test]
fn the_dependency_tree_of_the_pure_crates_holds_nothing_impure() {
    for package in PURE {
        let output = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "--package",
                package,
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--format",
                "{p}",
            ])
            .current_dir(root())
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8(output.stdout).expect("package names are text");
        assert!(tree.lines().any(|line| line.starts_with("serde ")), "{package} has a tree");
        for (banned, why) in BANNED_PACKAGES {
            let found = tree.lines().find(|line| line.split(' ').next() == Some(banned));
            assert!(found.is_none(), "{package} depends on {banned}: {why}");
        }
    }
}

#[test]
fn the_text_of_the_pure_crates_holds_nothing_impure() {
    let mut files = Vec::new();
    for package in PURE {
        rust_files(&root().join(package).join("src"), &mut files);
    }
    assert!(files.len() > 30, "only {} files found", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("sources are text");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            for (banned, instead) in BANNED_WORDS {
                assert!(!line.contains(banned), "{}:{}: {banned}; use {instead}", file.display(), number + 1);
            }
        }
    }
}

fn rust_files(dir: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(dir).expect("a crate has sources").map(|entry| entry.expect("readable").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
